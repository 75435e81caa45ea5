package vendorport

import (
	"testing"

	"kuule/internal/canon"
)

// FuzzAnswers reads every kind of answer from any bytes: what is taken keeps its
// bounds.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		`{"verdict":"bona-fide","score":1,"threshold":{"id":"a","score":1},"algorithm":"a"}`,
		`{"taken":true,"reason":"","quality":50,"template":{"format":"iso-19794-2-2005","data":"AAAA"}}`,
		`{"verdict":"match","reason":"","score":2,"threshold":{"id":"a","score":1},"algorithm":"a"}`,
		`{"present":true,"zone":"P<UTO","verdict":"genuine","features":[{"name":"uv","verdict":"genuine"}],"images":[],"algorithm":"a"}`,
		`{"overall":50,"measures":[{"name":"size","value":1}],"hints":["blurred"],"algorithm":"a"}`,
		`{"search":"0123456789abcdef","state":"running","result":""}`,
		`{"found":true,"name":"A B","born":"1988-03","number":"A1","pictures":[{"kind":"finger-2","format":"iso-19794-2-2005","data":"AAAA"},{"kind":"face","format":"image/jpeg","data":"AAAA"}]}`,
		`{"taken":false,"reason":"unknown-case"}`,
		`{"port":"pad","versions":[1],"vendor":"a","product":"b","release":"c","serial":"","algorithm":"","operations":["assess"],"measured":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, out := range []valid{&Assessment{}, &Captured{}, &Compared{}, &Inspected{}, &Graded{}, &Searching{}, &RegisteredPerson{}, &StageTaken{}} {
			if canon.Strict(b, out) != nil || out.valid() != nil {
				continue
			}
			switch v := out.(type) {
			case *RegisteredPerson:
				if len(v.Pictures) > maxRegistered || !v.Found && (v.Name != "" || len(v.Pictures) > 0) {
					t.Errorf("%d pictures were taken", len(v.Pictures))
				}
			case *Captured:
				if v.Taken && (len(v.Template.Data) == 0 || v.Quality > 100) {
					t.Errorf("%+v was taken", v)
				}
			case *Inspected:
				if len(v.Zone) > maxZone || len(v.Images) > 6 {
					t.Errorf("%+v was taken", v)
				}
			case *Graded:
				if v.Overall > 100 || len(v.Hints) > 5 {
					t.Errorf("%+v was taken", v)
				}
			}
		}
		var d Description
		if canon.Strict(b, &d) == nil && d.valid(PortPAD) == nil && len(d.Engine()) > 3*MaxWord+2 {
			t.Errorf("%+v was taken", d)
		}
	})
}
