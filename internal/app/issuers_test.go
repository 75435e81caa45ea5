package app

import (
	"crypto"
	"crypto/ecdsa"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/trustlist"
)

// B1: a list that two persons approved counts from the next visit on, is there
// after a restart, and is in the audit log; before it, the list of the
// installation counts.
func TestApprovedTrustListTakesEffect(t *testing.T) {
	t.Parallel()
	first, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, err := emrtdtest.NewState("XA", "XAA", emrtdtest.RSAPSS, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	persons := []*ecdsa.PrivateKey{testKey(t), testKey(t)}
	open := func(o InitOptions) *issuers {
		t.Helper()
		in, err := openInstallation(o.Config.Data)
		if err != nil {
			t.Fatal(err)
		}
		i, err := newIssuers(in, storetest.Open(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := i.load(); err != nil {
			t.Fatal(err)
		}
		return i
	}
	o := initOptions(t)
	o.TrustList = first.CSCAPEM()
	o.Approvers = []crypto.PublicKey{persons[0].Public(), persons[1].Public()}
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	i := open(o)
	given := i.judge().TrustList
	file := slices.Concat(first.CSCAPEM(), second.CSCAPEM())
	s, _, err := trustlist.Prepare(file, "", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	in := TrustListImport{File: file}
	for n, k := range persons {
		if in.Approvals[n], err = s.Approve(k); err != nil {
			t.Fatal(err)
		}
	}
	one := in
	one.Approvals[1] = one.Approvals[0]
	if _, err := i.importList(t.Context(), one); problem.Of(err).Code != problem.CodeMalformed || i.judge().TrustList != given {
		t.Errorf("one person: %v", err)
	}
	status, err := i.importList(t.Context(), in)
	if err != nil || status.Sequence != 1 || status.Certificates != 2 || status.Version != s.Version {
		t.Fatalf("%+v %v", status, err)
	}
	if i.judge().TrustList != s.Version {
		t.Error("the next visit is judged by the list before")
	}
	var events int
	if err := i.db.NewRaw("SELECT count(*) FROM audit_outbox WHERE type = ?", eventTrustList).Scan(t.Context(), &events); err != nil || events != 1 {
		t.Errorf("%d events, %v", events, err)
	}
	if again := open(o); again.judge().TrustList != s.Version {
		t.Error("a restart forgot the list")
	}
	if all, err := filepath.Glob(filepath.Join(o.Config.Data, trustListFolder, "new-*")); err != nil || len(all) != 0 {
		t.Errorf("left over: %v %v", all, err)
	}
}

// An installation that names nobody takes no list after its first, and one
// person is not enough to be named.
func TestNobodyApprovesAlone(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	o.Approvers = []crypto.PublicKey{testKey(t).Public()}
	if err := Init(o); err == nil {
		t.Error("an installation was made with one approver")
	}
	o = initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	i, err := newIssuers(in, storetest.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.importList(t.Context(), TrustListImport{}); problem.Of(err).Code != problem.CodeForbidden {
		t.Errorf("%v", err)
	}
}
