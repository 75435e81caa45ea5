package kiosk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	pcsc "github.com/gballet/go-libpcsclite"
)

// PCSC is a reader behind the PC/SC service of this machine (pcscd). Use it from
// one goroutine at a time.
type PCSC struct {
	client *pcsc.Client
	card   *pcsc.Card
	broken error // after a command without an answer the reader is not asked again
}

// pcscTimeout bounds one command at the reader: chips ask for more time by
// themselves, readers give up after some seconds.
const pcscTimeout = 10 * time.Second

// lines are connections to the service that nobody uses now. The library cannot
// close one, and the service takes two hundred: a kiosk that looks for a card four
// times a second has to use its own again.
var lines struct {
	mu   sync.Mutex
	free []*pcsc.Client
}

// line gives a connection to the service, and whether it was used before.
func line() (client *pcsc.Client, used bool, err error) {
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if last := len(lines.free) - 1; last >= 0 {
		client, lines.free = lines.free[last], lines.free[:last]
		return client, true, nil
	}
	client, err = pcsc.EstablishContext(pcsc.PCSCDSockName, pcsc.ScopeSystem)
	if err != nil {
		return nil, false, fmt.Errorf("open card reader: the PC/SC service does not answer at %s (is pcscd running?): %w", pcsc.PCSCDSockName, err)
	}
	return client, false, nil
}

func keep(client *pcsc.Client) {
	lines.mu.Lock()
	defer lines.mu.Unlock()
	lines.free = append(lines.free, client)
}

// openPCSC connects to the reader whose name begins with name; an empty name is
// the first reader with a card in it.
func openPCSC(name string) (*PCSC, error) {
	for {
		client, used, err := line()
		if err != nil {
			return nil, err
		}
		card, err := connectPCSC(client, name)
		switch {
		case err == nil:
			return &PCSC{client: client, card: card}, nil
		case errors.Is(err, ErrNoCard) || errors.Is(err, errNoReader):
			keep(client)
			return nil, err
		case !used:
			return nil, err
		}
		// The service may have been started anew since this line was made.
	}
}

var errNoReader = errors.New("no such reader")

func connectPCSC(client *pcsc.Client, name string) (*pcsc.Card, error) {
	names, err := client.ListReaders()
	if err != nil {
		return nil, fmt.Errorf("open card reader: list the readers: %w", err)
	}
	for i := range names {
		names[i] = strings.TrimRight(names[i], "\x00") // the service pads them
	}
	wanted := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, name) })
	if len(wanted) == 0 {
		return nil, fmt.Errorf("open card reader: no reader is called %q; there are: %s (%w)", name, strings.Join(names, ", "), errNoReader)
	}
	var failed error
	for _, n := range wanted {
		card, err := client.Connect(n, pcsc.ShareExclusive, pcsc.ProtocolT1)
		if err == nil {
			return card, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", n, err))
	}
	return nil, fmt.Errorf("%w: %w", ErrNoCard, failed)
}

// Transmit sends one APDU and waits for its response.
func (p *PCSC) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	if len(apdu) < 4 || len(apdu) > 0xFFFF {
		return nil, fmt.Errorf("command of %d bytes does not fit the reader's frame", len(apdu))
	}
	ctx, cancel := context.WithTimeout(ctx, pcscTimeout)
	defer cancel()
	type answer struct {
		response []byte
		err      error
	}
	// The service's library knows no deadline: a reader that hangs must not
	// hold the visit.
	answers := make(chan answer, 1)
	go func() {
		response, _, err := p.card.Transmit(apdu)
		answers <- answer{response, err}
	}()
	select {
	case <-ctx.Done():
		p.broken = fmt.Errorf("%w: the reader gave no answer: %w", ErrNoCard, ctx.Err())
		return nil, p.broken
	case a := <-answers:
		switch {
		case a.err != nil:
			return nil, fmt.Errorf("%w: %w", ErrNoCard, a.err)
		case len(a.response) < 2:
			return nil, ErrNoCard
		}
		return a.response, nil
	}
}

// Close takes power off the card and lets the reader go.
func (p *PCSC) Close() error {
	if p.broken != nil {
		return nil //nolint:nilerr // the service's line is held by the command that never ended
	}
	if err := p.card.Disconnect(pcsc.UnpowerCard); err != nil {
		return errors.Join(err, p.client.ReleaseContext())
	}
	keep(p.client)
	return nil
}
