//go:build !amd64

package sandbox

// births: newer architectures have clone alone.
var births []uint32
