package id_test

import (
	"errors"
	"strings"
	"testing"

	"kuule/internal/id"
)

type cat struct{}

func (cat) Prefix() string { return "cat" }

type dog struct{}

func (dog) Prefix() string { return "dog" }

func TestAnIdentifierIsReadOnlyAsItsOwnKind(t *testing.T) {
	t.Parallel()
	c := id.New[cat]()
	back, err := id.Parse[cat](c.String())
	if err != nil || back != c {
		t.Fatalf("round trip: %v, %v", back, err)
	}
	for _, text := range []string{"", "cat_", c.String() + "0", c.String()[4:], "cat_00000000-0000-0000-0000-000000000000",
		// Nothing that a folder, a path or a subject would read as something else.
		"../" + c.String(), c.String() + "/..", "cat_../../../../../../../../../../etc", "cat_" + strings.Repeat(".", 36), "cat_\x00" + c.String()[5:],
		c.String()[:10] + "%2e%2e" + c.String()[16:], strings.Replace(c.String(), "-", "/", 1), strings.ToUpper(c.String()), " " + c.String(), c.String() + "\n",
	} {
		if _, err := id.Parse[cat](text); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", text, err)
		}
	}
	if _, err := id.Parse[dog](c.String()); err == nil {
		t.Error("a cat was read as a dog")
	}
}
