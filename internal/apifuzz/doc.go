// Package apifuzz makes requests from the API's OpenAPI document: right ones, wrong ones, and
// hostile ones.
//
// It is for tests that ask whether the console stands whatever it is asked. It is not for
// checking that an operation does what it should.
//
//	Load        reads a document
//	Generator   makes one Request after another, the same ones for the same seed
//	Request     what to send; it becomes an http.Request
//	Response    what came back; Faults says what is wrong with it whatever was asked
//
// The way of a request: an operation is drawn, then a value for each of its parameters and,
// by its schema, a body. Most values are as the document wants them, so that requests come past
// the first check; one in four is out of bounds, of another type, in another encoding, missing,
// twice there, or one of a list of strings on which programs are known to stumble. Now and then
// the body as a whole is broken: cut short, nested deep, too large, of another content type.
package apifuzz
