package engines

import (
	"context"
	"errors"
	"fmt"

	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/vendorport"
)

// Casework tells the agency's case system through a part. It implements
// kioskbridge.CaseSystem.
type Casework struct{ Client *vendorport.Client }

var _ kioskbridge.CaseSystem = Casework{}

// Tell implements kioskbridge.CaseSystem.
func (c Casework) Tell(ctx context.Context, e kioskbridge.StageEvent) error {
	out, err := c.Client.Stage(ctx, e.ID.String(), vendorport.StageEvent{
		Case: e.Diary, Stage: string(e.Stage), Visit: e.Visit.String(), Site: e.Site, Assurance: string(e.Assurance), At: e.At.Unix(),
	})
	switch {
	case errors.Is(err, vendorport.ErrRefused):
		return fmt.Errorf("%w: %w", kioskbridge.ErrStageRefused, err)
	case err != nil:
		return err
	case !out.Taken:
		return fmt.Errorf("%w: %s", kioskbridge.ErrStageRefused, out.Reason)
	}
	return nil
}
