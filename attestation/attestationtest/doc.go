// Package attestationtest makes software TPMs of a demonstration manufacturer.
//
// Each is a process of swtpm (https://github.com/stefanberger/swtpm, Debian
// packages swtpm and swtpm-tools) with an endorsement certificate that the
// Manufacturer issued, so that everything above it runs as on hardware: the
// keys, the quotes and the refusals are real, only the chip is not.
//
// It serves tests, the demonstration and the load generators; the production
// programs do not import it.
package attestationtest
