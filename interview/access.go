package interview

import (
	"maps"
	"slices"
	"time"

	"kuule/internal/problem"
)

// Who says who may call a route.
type Who struct {
	AnyDevice bool   // every attested device, whoever sits at it
	Roles     []Role // holders of one of these
}

// access is the whole table of routes and who may call them. A route that is
// not in it cannot be registered; what a role may do with whose hearing is
// decided again where the route is served.
var access = map[string]Who{
	"GET /api/me": {AnyDevice: true},

	"POST /api/cases":             {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings":          {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings":           {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings/{hearing}": {Roles: []Role{RoleInterviewer}},

	"POST /api/tickets/{ticket}/redeem": {AnyDevice: true},

	"GET /api/hearings/{hearing}/portraits/{participant}":    {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings/{hearing}/faces/{participant}":        {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/faces/{participant}/asked": {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/faces/{participant}/said":  {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings/{hearing}/faces/{participant}/wanted": {AnyDevice: true},
	"POST /api/hearings/{hearing}/faces/{participant}":       {AnyDevice: true},

	"POST /api/paths":       {AnyDevice: true},
	"POST /api/paths/probe": {AnyDevice: true},

	"GET /api/hearings/{hearing}/quality": {Roles: []Role{RoleInterviewer}},

	"GET /api/hearings/{hearing}/transcript":             {Roles: []Role{RoleInterviewer}},
	"PUT /api/hearings/{hearing}/utterances/{utterance}": {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/records":               {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings/{hearing}/records":                {Roles: []Role{RoleInterviewer, RoleApplicant, RoleCounsel, RoleRepresentative}},
	"POST /api/records/{record}/deliver":                 {Roles: []Role{RoleInterviewer}},
	"GET /api/records/{record}":                          {Roles: []Role{RoleInterviewer, RoleApplicant, RoleCounsel, RoleRepresentative}},
	"POST /api/records/{record}/receipt":                 {Roles: []Role{RoleApplicant, RoleCounsel, RoleRepresentative}},
	"POST /api/records/{record}/amendments":              {Roles: []Role{RoleApplicant, RoleCounsel, RoleRepresentative}},
	"POST /api/records/{record}/outcome":                 {Roles: []Role{RoleInterviewer, RoleApplicant, RoleCounsel, RoleRepresentative}},
	"POST /api/amendments/{amendment}/answer":            {Roles: []Role{RoleInterviewer}},

	"POST /api/hearings/{hearing}/viewings": {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},
	"GET /api/hearings/{hearing}/viewings":  {Roles: []Role{RoleInterviewer}},
	"GET /api/viewings":                     {AnyDevice: true},
	"POST /api/viewings/{viewing}/decision": {Roles: []Role{RoleInterviewer}},
	"POST /api/viewings/{viewing}/open":     {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},
	"GET /api/viewings/{viewing}/outline":   {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},
	"GET /api/viewings/{viewing}/media":     {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},
	"POST /api/viewings/{viewing}/heard":    {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},
	"POST /api/viewings/{viewing}/export":   {Roles: []Role{RoleInterviewer}},
	"GET /api/viewings/{viewing}/export":    {Roles: []Role{RoleInterviewer}},
	"POST /api/viewings/{viewing}/release":  {Roles: []Role{RoleInterviewer}},
	"POST /api/viewings/{viewing}/handed":   {Roles: []Role{RoleInterviewer}},
	"POST /api/viewings/{viewing}/close":    {Roles: []Role{RoleInterviewer, RoleCounsel, RoleApplicant}},

	"POST /api/desk/calls":                       {AnyDevice: true},
	"GET /api/desk/calls/{call}":                 {AnyDevice: true},
	"POST /api/desk/calls/{call}/answer":         {Roles: []Role{RoleOfficer}},
	"GET /api/desk":                              {Roles: []Role{RoleOfficer}},
	"GET /api/desk/visits":                       {Roles: []Role{RoleOfficer}},
	"POST /api/desk/notices":                     {AnyDevice: true},
	"POST /api/desk/notices/{notice}/seen":       {Roles: []Role{RoleOfficer}},
	"POST /api/desk/handovers":                   {Roles: []Role{RoleOfficer}},
	"GET /api/desk/duplicates":                   {Roles: []Role{RoleOfficer}},
	"POST /api/desk/duplicates/{visit}":          {Roles: []Role{RoleOfficer}},
	"POST /api/desk/identifications":             {Roles: []Role{RoleOfficer}},
	"PUT /api/desk/identifications/{visit}/word": {Roles: []Role{RoleOfficer}},
	"POST /api/desk/certificates":                {Roles: []Role{RoleOfficer}},
	"POST /api/kiosk/certificates":               {AnyDevice: true},
	"GET /api/desk/given":                        {Roles: []Role{RoleOfficer}},
	"GET /api/hearings/{hearing}/given":          {Roles: []Role{RoleInterviewer}},
	"POST /api/visits/{visit}/pieces":            {Roles: []Role{RoleInterviewer, RoleOfficer}},
	"POST /api/kiosk/numbers":                    {AnyDevice: true},
	"POST /api/kiosk/payments":                   {AnyDevice: true},
	"GET /api/queues":                            {AnyDevice: true},
	"GET /api/desk/queues":                       {Roles: []Role{RoleOfficer}},
	"POST /api/desk/queues/{queue}/next":         {Roles: []Role{RoleOfficer}},
	"POST /api/desk/numbers/{number}":            {Roles: []Role{RoleOfficer}},

	"GET /api/hearings/{hearing}/keeping":      {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/matters":     {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/holds":       {Roles: []Role{RoleInterviewer}},
	"POST /api/holds/{hold}/lift":              {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/extensions":  {Roles: []Role{RoleInterviewer}},
	"POST /api/extensions/{extension}/approve": {Roles: []Role{RoleInterviewer}},
	"PUT /api/hearings/{hearing}/secrecy":      {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/notes":       {Roles: []Role{RoleInterviewer}},
	"GET /api/hearings/{hearing}/notes":        {Roles: []Role{RoleInterviewer}},
	"POST /api/notes/{note}/needless":          {Roles: []Role{RoleInterviewer}},
	"POST /api/hearings/{hearing}/erasure":     {Roles: []Role{RoleInterviewer}},
	"GET /api/erasures":                        {Roles: []Role{RoleInterviewer}},
	"POST /api/erasures/{erasure}/confirm":     {Roles: []Role{RoleInterviewer}},

	"POST /api/agreements":                            {Roles: []Role{RoleSecurityOffice}},
	"GET /api/agreements":                             {Roles: []Role{RoleSecurityOffice}},
	"POST /api/agreements/{agreement}/steps":          {Roles: []Role{RoleSecurityOffice}},
	"PUT /api/agreements/{agreement}/signature":       {Roles: []Role{RoleSecurityOffice}},
	"POST /api/agreements/{agreement}/devices/revoke": {Roles: []Role{RoleSecurityOffice}},
}

// Access returns a copy of the table, by "METHOD /path".
func Access() map[string]Who { return maps.Clone(access) }

// Allowed decides whether the caller may call the route at all: nil, or a
// problem that names the rule "access".
func Allowed(route string, c Caller, now time.Time) error {
	who, ok := access[route]
	switch {
	case !ok:
		return problem.Refused(problem.CodeForbidden, "access", "no one may call %s", route)
	case c.Device.IsZero():
		return problem.Refused(problem.CodeCertificateInvalid, "access", "%s needs a device's certificate", route)
	case who.AnyDevice || slices.ContainsFunc(who.Roles, func(r Role) bool { return c.Holds(r, now) }):
		return nil
	case c.Subject == "" && len(c.Tickets) == 0:
		return problem.Refused(problem.CodeSignIn, "access", "%s needs a person who signed in", route)
	default:
		return problem.Refused(problem.CodeForbidden, "access", "%s is not for this role", route)
	}
}
