package descriptor

import (
	"encoding/binary"
	"errors"
)

// Bounds. A template id has six bits and a decode target five; a frame that
// depends on more than MaxDiffs others is read, with Diffs cut short and
// Truncated set.
const (
	MaxSize      = 256 // bytes
	MaxTemplates = 64
	MaxTargets   = 32
	MaxDiffs     = 8
)

// Errors of Read.
var (
	ErrShort     = errors.New("dependency descriptor: it ends too soon")
	ErrTooLong   = errors.New("dependency descriptor: longer than is allowed")
	ErrTemplates = errors.New("dependency descriptor: more templates than ids")
	ErrTemplate  = errors.New("dependency descriptor: template is not in the structure")
)

// Indication tells what a frame is to a decode target (DTI).
type Indication uint8

// Indications.
const (
	NotPresent Indication = iota
	Discardable
	Switch
	Required
)

// Descriptor is what one packet says of its frame.
type Descriptor struct {
	First bool // first packet of the frame
	Last  bool // last packet of the frame
	// Template is the id on the wire, Frame the frame's number modulo 2^16.
	Template uint8
	Frame    uint16
	// Structure says that a template structure is attached: a coded video
	// sequence begins here.
	Structure bool
	// Known says that the template was found in a structure: the fields below
	// mean nothing without.
	Known     bool
	Spatial   uint8
	Temporal  uint8
	Targets   int              // decode targets of the structure
	Active    uint32           // bit i: decode target i is being sent
	dtis      uint64           // two bits each, decode target 0 lowest
	Diffs     [MaxDiffs]uint16 // distances to the frames that this one needs
	DiffCount int
	Truncated bool // more than MaxDiffs
	Chains    int
	ChainDiff [MaxTargets]uint8 // distance to the chain's frame before; 0: begins it
	Width     uint16            // of the spatial layer, 0 if the structure does not say
	Height    uint16
}

// Key says that this packet begins a key frame: one that carries a structure
// and needs no other frame.
func (d *Descriptor) Key() bool {
	return d.First && d.Structure && (!d.Known || d.DiffCount == 0 && d.Spatial == 0)
}

// Indication tells what the frame is to a decode target.
func (d *Descriptor) Indication(target int) Indication {
	if target < 0 || target >= d.Targets {
		return NotPresent
	}
	return Indication(d.dtis >> (2 * target) & 3)
}

// SetFrame writes a frame number into a descriptor in place: it stands at a
// byte's edge in the mandatory part, which Read has seen to be there.
func SetFrame(b []byte, n uint16) { binary.BigEndian.PutUint16(b[1:3], n) }

// template is what frames refer to by id.
type template struct {
	spatial, temporal uint8
	diffCount         uint8
	truncated         bool
	diffs             [MaxDiffs]uint8
	dtis              uint64
}

// structure is one template structure.
type structure struct {
	offset     uint8
	templates  int
	targets    int
	chains     int
	protected  [MaxTargets]uint8
	list       [MaxTemplates]template
	chainDiffs [MaxTemplates][MaxTargets]uint8
	spatials   int
	sized      bool
	width      [4]uint16
	height     [4]uint16
}

// Reader reads the descriptors of one stream. The zero Reader is ready. It must
// not be used by two goroutines at once.
type Reader struct {
	have   bool
	frame  uint16 // that brought the structure
	active uint32
	now    *structure
	spare  *structure // read into, then swapped: a broken one changes nothing
}

// Read reads one packet's descriptor into d. With ErrTemplate the mandatory
// fields of d hold: the structure was missed or is an older one. Any other error
// leaves d without meaning.
func (r *Reader) Read(b []byte, d *Descriptor) error {
	*d = Descriptor{}
	if len(b) < 3 {
		return ErrShort
	}
	if len(b) > MaxSize {
		return ErrTooLong
	}
	d.First, d.Last = b[0]&0x80 != 0, b[0]&0x40 != 0
	d.Template, d.Frame = b[0]&0x3F, binary.BigEndian.Uint16(b[1:3])
	in := bits{b: b, at: 24}
	var customDTIs, customDiffs, customChains bool
	use, active := r.now, r.active
	if !r.have {
		use = nil
	}
	if len(b) > 3 {
		d.Structure = in.flag()
		haveActive := in.flag()
		customDTIs, customDiffs, customChains = in.flag(), in.flag(), in.flag()
		if d.Structure {
			if r.spare == nil {
				r.spare = new(structure)
			}
			if err := r.spare.read(&in); err != nil {
				return err
			}
			use = r.spare
			active = uint32(1<<use.targets - 1)
		}
		if haveActive {
			if use == nil {
				return ErrTemplate
			}
			active = uint32(in.take(use.targets))
		}
		if in.short {
			return ErrShort
		}
	}
	if use == nil {
		return ErrTemplate
	}
	i := (int(d.Template) + 64 - int(use.offset)) % 64
	if i >= use.templates {
		return ErrTemplate
	}
	use.fill(d, i)
	d.Active = active
	if customDTIs {
		d.dtis = in.take(2 * use.targets)
		d.dtis = reverse(d.dtis, use.targets)
	}
	if customDiffs {
		in.diffs(d)
	}
	if customChains {
		for c := range use.chains {
			d.ChainDiff[c] = uint8(in.take(8))
		}
	}
	if in.short {
		return ErrShort
	}
	d.Known = true
	switch {
	case !d.Structure:
		r.active = active
	case !r.have || int16(d.Frame-r.frame) >= 0: // one that comes late is not the newest
		r.now, r.spare = r.spare, r.now
		r.have, r.frame, r.active = true, d.Frame, active
	}
	return nil
}

// fill gives d what the template says.
func (s *structure) fill(d *Descriptor, i int) {
	t := &s.list[i]
	d.Spatial, d.Temporal, d.Targets, d.dtis = t.spatial, t.temporal, s.targets, t.dtis
	d.DiffCount, d.Truncated = int(t.diffCount), t.truncated
	for n := range d.DiffCount {
		d.Diffs[n] = uint16(t.diffs[n])
	}
	d.Chains = s.chains
	d.ChainDiff = s.chainDiffs[i]
	if s.sized {
		d.Width, d.Height = s.width[t.spatial], s.height[t.spatial]
	}
}

// diffs reads custom frame differences (A.8.5 frame_fdiffs).
func (in *bits) diffs(d *Descriptor) {
	d.DiffCount, d.Truncated = 0, false
	for size := in.take(2); size != 0 && !in.short; size = in.take(2) {
		diff := in.take(int(4*size)) + 1
		if d.DiffCount == MaxDiffs {
			d.Truncated = true
			continue
		}
		d.Diffs[d.DiffCount] = uint16(diff)
		d.DiffCount++
	}
}

// read reads a template structure (A.8.3 template_dependency_structure).
func (s *structure) read(in *bits) error {
	s.offset = uint8(in.take(6))
	s.targets = int(in.take(5)) + 1
	if err := s.readLayers(in); err != nil {
		return err
	}
	for i := range s.templates {
		s.list[i].dtis = reverse(in.take(2*s.targets), s.targets)
	}
	for i := range s.templates {
		t := &s.list[i]
		t.diffCount, t.truncated = 0, false
		for in.flag() {
			diff := uint8(in.take(4) + 1)
			if t.diffCount == MaxDiffs {
				t.truncated = true
				continue
			}
			t.diffs[t.diffCount] = diff
			t.diffCount++
		}
	}
	s.chains = int(in.nonSymmetric(uint64(s.targets + 1)))
	if s.chains > 0 {
		for i := range s.targets {
			s.protected[i] = uint8(in.nonSymmetric(uint64(s.chains)))
		}
	}
	for i := range s.templates {
		s.chainDiffs[i] = [MaxTargets]uint8{}
		for c := range s.chains {
			s.chainDiffs[i][c] = uint8(in.take(4))
		}
	}
	if s.sized = in.flag(); s.sized {
		for i := range s.spatials {
			s.width[i], s.height[i] = uint16(in.take(16)+1), uint16(in.take(16)+1)
		}
	}
	if in.short {
		return ErrShort
	}
	return nil
}

// readLayers reads the templates' layers (A.8.3 template_layers).
func (s *structure) readLayers(in *bits) error {
	var spatial, temporal uint8
	for s.templates = 0; ; {
		if s.templates == MaxTemplates || spatial > 3 || temporal > 7 {
			return ErrTemplates
		}
		s.list[s.templates].spatial, s.list[s.templates].temporal = spatial, temporal
		s.templates++
		switch in.take(2) {
		case 1:
			temporal++
		case 2:
			temporal = 0
			spatial++
		case 3:
			s.spatials = int(spatial) + 1
			return nil
		}
		if in.short {
			return ErrShort
		}
	}
}

// reverse puts n pairs of bits, first read highest, into the order first lowest.
func reverse(v uint64, n int) uint64 {
	var out uint64
	for i := range n {
		out |= (v >> (2 * (n - 1 - i)) & 3) << (2 * i)
	}
	return out
}

// bits reads bits, first the highest. Past the end it gives zeros and is short.
type bits struct {
	b     []byte
	at    int
	short bool
}

func (in *bits) flag() bool { return in.take(1) == 1 }

// take gives the next n bits, at most 64.
func (in *bits) take(n int) uint64 {
	if in.at+n > 8*len(in.b) {
		in.short, in.at = true, 8*len(in.b)
		return 0
	}
	var v uint64
	for n > 0 {
		free := 8 - in.at%8
		k := min(free, n)
		v = v<<k | uint64(in.b[in.at/8]>>(free-k))&(1<<k-1)
		in.at += k
		n -= k
	}
	return v
}

// nonSymmetric reads ns(n) of the AV1 specification, section 4.10.7.
func (in *bits) nonSymmetric(n uint64) uint64 {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	m := uint64(1)<<w - n
	v := in.take(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + in.take(1)
}
