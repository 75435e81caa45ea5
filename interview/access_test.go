package interview_test

import (
	"slices"
	"strings"
	"testing"

	"kuule/interview"
)

// O3, promise 7: duties are separate, whatever the table of routes says today.
// Agreements and devices are the security office's alone; cases, hearings,
// records and recordings never are; an administrator has no route at all.
func TestDutiesAreSeparate(t *testing.T) {
	t.Parallel()
	anyDevice := []string{"GET /api/me", "POST /api/tickets/{ticket}/redeem", "POST /api/paths", "POST /api/paths/probe", "POST /api/desk/calls", "GET /api/desk/calls/{call}", "POST /api/desk/notices", "POST /api/kiosk/certificates",
		"POST /api/kiosk/numbers", "POST /api/kiosk/payments", "GET /api/queues",
		// An applicant sits there, whom the device's ticket or an interviewer names: nobody else is given anything.
		"GET /api/hearings/{hearing}/faces/{participant}/wanted", "POST /api/hearings/{hearing}/faces/{participant}", "GET /api/viewings"}
	for route, who := range interview.Access() {
		_, path, _ := strings.Cut(route, " ")
		office := []interview.Role{interview.RoleSecurityOffice}
		switch approves := strings.HasPrefix(path, "/api/agreements"); {
		case who.AnyDevice && !slices.Contains(anyDevice, route):
			t.Errorf("%s is open to whoever sits at a device", route)
		case !who.AnyDevice && len(who.Roles) == 0:
			t.Errorf("%s is nobody's", route)
		case approves && !slices.Equal(who.Roles, office):
			t.Errorf("%s approves devices and is for %v", route, who.Roles)
		case !approves && slices.Contains(who.Roles, interview.RoleSecurityOffice):
			t.Errorf("%s is no business of the security office", route)
		case slices.Contains(who.Roles, interview.RoleAdministrator):
			t.Errorf("%s is no business of an administrator", route)
		case strings.HasPrefix(path, "/api/desk") && !who.AnyDevice && !slices.Equal(who.Roles, []interview.Role{interview.RoleOfficer}):
			t.Errorf("%s identifies people and is for %v", route, who.Roles)
		case strings.Contains(path, "/recording") && !slices.Equal(who.Roles, []interview.Role{interview.RoleInterviewer}):
			t.Errorf("%s opens a recording to %v", route, who.Roles)
		}
	}
}
