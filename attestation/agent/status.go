package agent

import (
	"kuule/attestation/wire"
)

// Status is how a device stands, as its state directory tells.
type Status struct {
	wire.Device
	Server  string
	Posture Posture
}

// ReadStatus reads the state directory alone: it works while the agent runs,
// and never uses the TPM.
func ReadStatus(stateDir string) (Status, error) {
	s, err := readState(stateDir)
	if err != nil {
		return Status{}, err
	}
	chain, err := parseChain(s.Chain)
	if err != nil {
		return Status{}, err
	}
	device, err := wire.ReadDevice(chain[0])
	if err != nil {
		return Status{}, err
	}
	return Status{Device: device, Server: s.Server, Posture: readPosture(stateDir)}, nil
}
