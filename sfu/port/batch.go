package port

const (
	readAtOnce = 64
	readTimes  = 4 // before what is to be sent leaves
	sendAtOnce = 128
	slotSize   = MaxDatagram + 100 // a header may grow by what the receiver's has more
)

// Batch collects sealed packets until its owner has no more, so that the system
// is called once for many. It is not safe for concurrent use.
type Batch struct {
	senders []*sender // by socket
	spare   [slotSize]byte
}

// NewBatch makes an empty batch for this port's connections.
func (p *Port) NewBatch() *Batch {
	b := &Batch{}
	for _, s := range p.sockets {
		b.senders = append(b.senders, newSender(s.raw))
	}
	return b
}

// slot is where a datagram for the path is to be written.
func (b *Batch) slot(to *path) []byte {
	if to.stream != nil {
		return b.spare[:]
	}
	s := b.senders[to.socket.number]
	if s.full() {
		s.flush()
	}
	return s.slot()
}

func (b *Batch) add(to *path, datagram []byte) {
	if to.stream != nil {
		to.stream.queue(datagram)
		return
	}
	b.senders[to.socket.number].add(to, len(datagram))
}

// Flush sends everything that was added.
func (b *Batch) Flush() {
	for _, s := range b.senders {
		s.flush()
	}
}
