package app

import (
	"context"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/ledger"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/trustlist"
)

// eventTrustList is the audit event of a list of issuers that came into force.
const eventTrustList = "kiosk.trust-list"

// issuers is the list of those who issue travel documents, as the door judges
// by it: the newest that two persons approved, or, before the first of those,
// the one that was given when the installation was made.
type issuers struct {
	in     *installation
	db     *bun.DB
	folder *trustlist.Folder

	mu  sync.Mutex // one import at a time
	now atomic.Pointer[kioskbridge.Judge]
}

func newIssuers(in *installation, db *bun.DB) (*issuers, error) {
	i := &issuers{in: in, db: db, folder: &trustlist.Folder{Path: in.path(trustListFolder)}}
	for _, text := range in.trust.TrustListKeys {
		key, err := trust.Key(text)
		if err != nil {
			return nil, err
		}
		i.folder.Approvers = append(i.folder.Approvers, key)
	}
	return i, nil
}

func (i *issuers) judge() kioskbridge.Judge { return *i.now.Load() }

// load reads what is in force.
func (i *issuers) load() error {
	approved, err := i.folder.Current()
	if err != nil {
		return err
	}
	if approved != nil {
		return i.use(approved.List)
	}
	text, err := os.ReadFile(i.in.path(trustListFile))
	if err != nil {
		return err
	}
	var certs []*emrtd.Certificate // without any, no document's issuer is known
	if len(text) > 0 {
		if certs, err = emrtd.ParseCertificates(text); err != nil {
			return fmt.Errorf("%s: %w", trustListFile, err)
		}
	}
	list, err := emrtd.NewTrustList(certs...)
	if err != nil {
		return fmt.Errorf("%s: %w", trustListFile, err)
	}
	return i.use(list)
}

func (i *issuers) use(list *emrtd.TrustList) error {
	revoked, err := i.revocationLists(list)
	if err != nil {
		return err
	}
	i.now.Store(&kioskbridge.Judge{Inspector: &emrtd.Inspector{Trust: list, Revoked: revoked}, TrustList: list.Version()})
	return nil
}

// revocationLists reads the lists of withdrawn document signers that the
// administrator has laid into the door's folder; none is no error: the check
// then says so.
func (i *issuers) revocationLists(list *emrtd.TrustList) (*emrtd.RevocationLists, error) {
	names, err := filepath.Glob(i.in.path(revocationFiles))
	if err != nil || len(names) == 0 {
		return nil, err
	}
	files := make([][]byte, len(names))
	for n, name := range names {
		if files[n], err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	lists, err := emrtd.ImportRevocationLists(list, files...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", revocationFiles, err)
	}
	return lists, nil
}

// TrustListImport brings a list with the approvals of two persons.
type TrustListImport struct {
	File      []byte    `json:"file"`
	Approvals [2]string `json:"approvals"`
}

// TrustListStatus tells which list is in force.
type TrustListStatus struct {
	Sequence     int64   `json:"sequence"` // 0: the one that was given at the installation
	Version      string  `json:"version"`
	Certificates int     `json:"certificates"`
	Kept         []int64 `json:"kept"` // versions that can still be looked at
}

// importList takes effect with the next visit; visits that have begun end by the
// list with which they began.
func (i *issuers) importList(ctx context.Context, in TrustListImport) (TrustListStatus, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.folder.Approvers) < 2 {
		return TrustListStatus{}, problem.New(problem.CodeForbidden, "nobody may approve trust lists here: the keys of two persons are named by `kuule init --approver`")
	}
	approved, err := i.folder.Import(in.File, in.Approvals)
	if err != nil {
		return TrustListStatus{}, problem.New(problem.CodeMalformed, "%w", err)
	}
	if err := i.use(approved.List); err != nil {
		return TrustListStatus{}, err
	}
	err = (ledger.Outbox{}).Append(ctx, i.db, interview.Event{Type: eventTrustList, Fields: map[string]any{
		"sequence": approved.Statement.Sequence, "version": approved.Statement.Version,
	}})
	if err != nil {
		return TrustListStatus{}, err
	}
	return i.status()
}

func (i *issuers) status() (TrustListStatus, error) {
	kept, err := i.folder.Sequences()
	if err != nil {
		return TrustListStatus{}, err
	}
	judge := i.judge()
	out := TrustListStatus{Version: judge.TrustList, Kept: append([]int64{}, kept...)}
	if inspector, ok := judge.Inspector.(*emrtd.Inspector); ok {
		out.Certificates = inspector.Trust.Len()
	}
	if len(kept) > 0 {
		out.Sequence = kept[len(kept)-1]
	}
	return out, nil
}

// approverKeys are the pinned keys as the trust file has them: none, or two
// persons' at least.
func approverKeys(keys []crypto.PublicKey) ([]string, error) {
	if len(keys) == 1 {
		return nil, fmt.Errorf("one person cannot approve trust lists alone: name the keys of two at least, or of none")
	}
	var out []string
	for _, k := range keys {
		text, err := trust.EncodeKey(k)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}
