package journaltest

import (
	"sync"

	"kuule/recorder/journal"
)

// Disk puts faults between a writer and a disk. It is safe for concurrent use.
type Disk struct {
	Under journal.Disk

	mu    sync.Mutex
	write error         // given instead of writing
	sync  error         // given instead of syncing
	short bool          // one write takes half and says so
	stall chan struct{} // syncs wait until it is closed
}

// FailWrites has every later write fail.
func (d *Disk) FailWrites(err error) { d.set(func() { d.write = err }) }

// FailSyncs has every later sync fail.
func (d *Disk) FailSyncs(err error) { d.set(func() { d.sync = err }) }

// ShortWrite has later writes take half of what they are given.
func (d *Disk) ShortWrite() { d.set(func() { d.short = true }) }

// Stall has every later sync wait until resume is called.
func (d *Disk) Stall() (resume func()) {
	c := make(chan struct{})
	d.set(func() { d.stall = c })
	return sync.OnceFunc(func() {
		d.set(func() { d.stall = nil })
		close(c)
	})
}

func (d *Disk) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Create implements journal.Disk.
func (d *Disk) Create(name string) (journal.File, error) {
	f, err := d.Under.Create(name)
	if err != nil {
		return nil, err
	}
	return &file{f, d}, nil
}

type file struct {
	journal.File
	disk *Disk
}

func (f *file) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	err, short := f.disk.write, f.disk.short
	f.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if short {
		return f.File.Write(b[:len(b)/2])
	}
	return f.File.Write(b)
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	err, stall := f.disk.sync, f.disk.stall
	f.disk.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if err != nil {
		return err
	}
	return f.File.Sync()
}
