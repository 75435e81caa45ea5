// Command report reads the JSON of go test and shows people what they need: a line
// for each package, the whole output of what failed, and every skipped test with
// its reason, which go test alone keeps to itself.
//
//	go test -json ./... | go run ./test/report
//
// Where CI is set, a test that was skipped for want of a program fails the run:
// .ci/packages installs them all.
package main
