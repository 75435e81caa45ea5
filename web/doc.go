// Package web is the browser's side of Kuule: TypeScript pages under src, built
// by Vite into dist, signed at release as a web bundle and served to people by
// the agent on their own device, never by the server.
//
// The Go side of the folder is only the generator in gen, which writes the
// TypeScript types of the room's messages from interview/wire and
// interview/sealing; its test fails when the two differ.
package web
