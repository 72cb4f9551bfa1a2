// Package api is the appliance's REST API as data: the OpenAPI document and what is
// generated from it.
//
//	openapi.yaml      the source: operations, types, limits
//	types.gen.go      the types of the document; the console's vocabulary
//	server.gen.go     the echo v4 routes and the interface a server implements
//	client.gen.go     a client of every operation
//	client.go         the client of an appliance on this machine (Unix socket)
//	document.go       the document itself, embedded
//
// To change the API, change openapi.yaml and run "go generate ./console/api"; tests here
// compare the generated code with the document and fail where they differ.
//
// This package has no behaviour of the appliance: package console serves the API,
// and cmd/landbridge asks for it.
package api
