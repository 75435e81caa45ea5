// Command gen writes the TypeScript types of the messages that pages speak,
// from the Go source that defines them:
//
//	go run ./web/gen
//
// It reads the source text, not values, so that comments and the order of
// fields travel too. TestTypes fails when the checked-in files differ.
package main
