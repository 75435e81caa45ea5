// Command kuule-face compares faces for package kiosk-bridge/face, which starts
// it for one question and has it end with the answer. It is no program for
// people: its only argument is the folder of its library and models, it reads
// pictures from its standard input and writes numbers to its standard output.
//
// It runs without network, without a file that it may write, with bounded memory
// and time. It is the only binary with cgo.
package main
