// Package cli is the inside of the program kuule-agent: what its commands
// mean, as kong reads them (https://github.com/alecthomas/kong).
//
// Enrol proves the TPM and pins the trust file; Run keeps posture and
// certificate and serves the loopback gateway from the signed bundle; StartURL
// asks a running agent for a link; Status and Identifier only read. Refusals
// are printed with what is still open to the person (row C9). Nothing secret
// is taken from, or written to, a command line but the start link that its
// command exists to print.
package cli
