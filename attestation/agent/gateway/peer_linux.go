package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// errPeer says that a connection's other end is not the browser's user.
var errPeer = errors.New("connection is not of the browser's user")

// peerListener hands on only connections whose other end belongs to one user.
type peerListener struct {
	net.Listener
	uid uint32
	log *slog.Logger
}

// Accept implements net.Listener. Connections of other users are closed before
// a byte of them is read.
func (l peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(c, l.uid); err != nil {
			l.log.Warn("gateway closed a connection", "why", err)
			_ = c.Close()
			continue
		}
		return c, nil
	}
}

func checkPeer(c net.Conn, uid uint32) error {
	remote, okRemote := c.RemoteAddr().(*net.TCPAddr)
	local, okLocal := c.LocalAddr().(*net.TCPAddr)
	if !okRemote || !okLocal {
		return fmt.Errorf("%w: not a TCP connection", errPeer)
	}
	owner, err := socketOwner(remote.AddrPort(), local.AddrPort())
	if err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	// After a close the kernel's entry says uid 0 and inode 0: without these two
	// conditions a connection that was closed at once would pass for root's.
	if owner.state != unix.BPF_TCP_ESTABLISHED || owner.inode == 0 || owner.uid != uid {
		return fmt.Errorf("%w: uid %d, state %d", errPeer, owner.uid, owner.state)
	}
	return nil
}

type owner struct {
	uid, inode uint32
	state      uint8
}

// Layout of sock_diag (linux/inet_diag.h), see man 7 sock_diag.
const (
	sockDiagByFamily = 20
	headerSize       = unix.SizeofNlMsghdr // 16
	requestSize      = 56                  // inet_diag_req_v2
	replySize        = 72                  // inet_diag_msg
	idOffset         = 4                   // inet_diag_sockid in inet_diag_msg
	idAddrSize       = 36                  // its ports and addresses
	noCookie         = 0xffffffff
)

// socketOwner asks the kernel whose the socket is that is bound to src and
// connected to dst.
func socketOwner(src, dst netip.AddrPort) (owner, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return owner{}, fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd) // only asked
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return owner{}, fmt.Errorf("sock_diag: %w", err)
	}
	request := diagRequest(src, dst)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return owner{}, fmt.Errorf("sock_diag: %w", err)
	}
	reply := make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return owner{}, fmt.Errorf("sock_diag: %w", err)
	}
	if k, ok := from.(*unix.SockaddrNetlink); !ok || k.Pid != 0 {
		return owner{}, errors.New("sock_diag: answer is not the kernel's")
	}
	return parseDiag(reply[:n], request)
}

func diagRequest(src, dst netip.AddrPort) []byte {
	b := make([]byte, headerSize+requestSize)
	native := binary.NativeEndian
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[headerSize:]
	from, to := src.Addr().Unmap(), dst.Addr().Unmap()
	r[0] = unix.AF_INET
	if from.Is6() {
		r[0] = unix.AF_INET6
	}
	r[1] = unix.IPPROTO_TCP
	native.PutUint32(r[4:], 0xffffffff) // any state
	binary.BigEndian.PutUint16(r[8:], src.Port())
	binary.BigEndian.PutUint16(r[10:], dst.Port())
	copy(r[12:28], from.AsSlice())
	copy(r[28:44], to.AsSlice())
	native.PutUint32(r[48:], noCookie)
	native.PutUint32(r[52:], noCookie)
	return b
}

// parseDiag reads the answer and holds it to the request's own addresses.
func parseDiag(b, request []byte) (owner, error) {
	native := binary.NativeEndian
	if len(b) < headerSize+4 {
		return owner{}, errors.New("sock_diag: short answer")
	}
	switch native.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		return owner{}, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(native.Uint32(b[headerSize:]))))
	case sockDiagByFamily:
	default:
		return owner{}, errors.New("sock_diag: unexpected answer")
	}
	m := b[headerSize:]
	if len(m) < replySize {
		return owner{}, errors.New("sock_diag: short answer")
	}
	asked := request[headerSize+8 : headerSize+8+idAddrSize]
	if m[0] != request[headerSize] || string(m[idOffset:idOffset+idAddrSize]) != string(asked) {
		return owner{}, errors.New("sock_diag: answer is about another socket")
	}
	return owner{uid: native.Uint32(m[64:]), inode: native.Uint32(m[68:]), state: m[1]}, nil
}
