package layer

import "testing"

func TestAPacketWithoutADescriptor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		payload        []byte
		ok, first, key bool
	}{
		{"key frame", []byte{0x10, 0x00}, true, true, true},
		{"other frame", []byte{0x10, 0x01}, true, true, false},
		{"later packet", []byte{0x00, 0x00}, true, false, false},
		{"every field, long picture id", []byte{0x90, 0xF0, 0x80, 0x01, 0x02, 0x03, 0x00}, true, true, true},
		{"short picture id", []byte{0x90, 0x80, 0x01, 0x01}, true, true, false},
		{"empty", nil, false, false, false},
		{"cut in the picture id", []byte{0x90, 0x80}, false, false, false},
		{"cut before the frame", []byte{0x90, 0xF0, 0x80, 0x01, 0x02, 0x03}, false, false, false},
	} {
		d, ok := Undescribed(tc.payload)
		if ok != tc.ok || d.First != tc.first || d.Key() != tc.key {
			t.Errorf("%s: %v, first %v, key %v", tc.name, ok, d.First, d.Key())
		}
	}
}

func FuzzUndescribed(f *testing.F) {
	f.Add([]byte{0x90, 0xF0, 0x80, 0x01, 0x02, 0x03, 0x00})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Undescribed(b) })
}
