// Command kuule-kiosk is the program in a kiosk: a pipe between a card reader
// and the bridge, which reads and judges travel documents.
//
// It speaks as the device that kuule-agent enrolled on this machine: mutual TLS
// with that device's certificate, and the device key in the TPM for the one
// thing that it signs, that a visit took place here. It learns no verdicts, only
// where the person goes next: join, again or desk.
//
// The machine-readable zone comes by standard input or a file, never on the
// command line, where every process could read it. Nothing of the people who
// come by is kept. Its inside is package kiosk-bridge/kiosk.
package main
