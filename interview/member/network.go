package member

import (
	"fmt"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// network is the machine's, as it is whenever it is looked at. The library's own
// remembers what it saw first, so that a connection which looks for another path
// would never find the address that has come since.
type network struct{ *stdnet.Net }

func newNetwork() (network, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return network{}, fmt.Errorf("the machine's networks: %w", err)
	}
	return network{n}, nil
}

// Interfaces are those of now.
func (network) Interfaces() ([]*transport.Interface, error) {
	now, err := newNetwork()
	if err != nil {
		return nil, err
	}
	return now.Net.Interfaces()
}
