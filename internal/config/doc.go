// Package config reads what an administrator decides about an installation, and
// holds the two tables that all processes share: the ports and the places of
// files under the data folder.
//
// The configuration is one JSON file, small enough to read aloud. Unknown fields
// are refused, so that a misspelt setting never passes for a default; what is
// missing has the default that Default gives. It holds no secret: keys live
// under the data folder, and the keyring's passphrase comes through a file that
// it names or from the terminal.
package config
