// Package web is the console's pages: what an operator sees in a browser.
//
// It is for showing what the API tells, and for asking of the API what a person asked for
// by a form. It is not for deciding who may do what (package access), nor for knowing
// anything of networks: all data come by the generated api.StrictServerInterface, so that
// a page can't use what a program couldn't.
//
//	Options   the API, and who is at the other end
//	New       parses the templates and compresses the assets
//	Pages     Register adds the routes to an echo
//
// A page is a file page_NAME.go (its handlers and what it shows) and templates/NAME.html.
// templates/layout.html is the frame of all, templates/parts what several share. All text
// that people read stands in templates. A part that changes by itself is a template named
// "NAME#ID" whose outermost element has that ID: a page executes it in its place, and
// htmx, which asks for the page with the header HX-Target: ID, gets it alone.
//
// Everything works without JavaScript, if not as nicely: forms POST and are answered by
// 303, or by 422 and the form again with what was typed and what is wrong beside the field.
// assets/live.js makes pages live: it listens to the event stream, tells htmx which parts
// to fetch, and says when the page is out of touch.
//
// What is done with leases is an order (deeds.go) whose inverse, where it has one, is noted as it
// is carried out. Pages remembers the last few deeds, so that the page to which a form leads
// says what was done and offers to take it back.
//
// A form with the attribute data-check is checked as it is typed, by the server's own rules: it is
// sent to its own route with the header X-Check-Only, whose handler runs up to the operation
// that it would ask for; the API says what it would refuse, and does nothing (checking.go,
// assets/forms.js). All that a page has to do is to set the attribute, to name its fields as the
// API does (or say how it does by data-field), and to put each into an element of the class
// field; the operation must have x-check in the document, and its handler in package console must
// stop where api.IsCheck says so.
//
// Assets are embedded, compressed when the value is made, and served below a path that has
// the hash of all of them, so that browsers keep them for good. Nothing is inline: the
// Content-Security-Policy allows scripts and styles from here only, and no style or script
// in the markup. Pictures are SVG whose geometry is computed here, in Go: they need no
// script and cause no layout shift.
package web
