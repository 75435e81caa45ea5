package kiosk

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"kuule/kiosk-bridge/tunnel"
)

// Parts of which this program tells staff itself. The bridge tells of those that
// fail in a step of a visit, where it learns of it anyway.
const (
	partCamera  = "camera"
	partPrinter = "printer"
	partScanner = "scanner"
)

// NoticePath is the server's route for what staff should see to.
const NoticePath = "/api/desk/notices"

// noticeWithin bounds one notice.
const noticeWithin = 20 * time.Second

// Notices tells staff of parts of this kiosk, by its own device certificate. It
// is safe for concurrent use.
type Notices struct {
	Server   string // https://HOST
	Identity Identity
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: as addresses say
}

// Tell names a part and one of tunnel's reasons. It says nothing of who was
// there.
func (n *Notices) Tell(ctx context.Context, part, code string) error {
	ctx, cancel := context.WithTimeout(ctx, noticeWithin)
	defer cancel()
	body, err := json.Marshal(map[string]string{"part": part, "code": code})
	if err != nil {
		return err
	}
	resp, err := post(ctx, n.Server+NoticePath, body, n.Identity, n.Dial)
	if err != nil {
		return fmt.Errorf("tell staff of the %s: %w", part, err)
	}
	return resp.Body.Close()
}

// notice tells staff of a part, once in a visit. Nobody waits for it: whether or
// not staff can be told, the visit goes on.
func (v *screenVisit) notice(ctx context.Context, part, code string) {
	tell, log := v.screen.Tell, v.screen.log()
	if tell == nil || v.told[part] {
		return
	}
	v.told[part] = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeWithin)
	go func() {
		defer cancel()
		if err := tell(ctx, part, code); err != nil {
			log.Warn("staff were not told of a part of this kiosk", "part", part, "code", code, "error", err)
		}
	}()
}

// missCamera tells of a camera that was there in an earlier visit. A kiosk that
// never had one is not broken.
func (v *screenVisit) missCamera(ctx context.Context) {
	if v.begin.Camera {
		v.screen.camera.Store(true)
	} else if v.screen.camera.Load() {
		v.notice(ctx, partCamera, tunnel.ReasonPartAbsent)
	}
}
