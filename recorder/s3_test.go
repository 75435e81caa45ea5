package recorder_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"kuule/internal/blob"
	"kuule/internal/blob/s3"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journaltest"
)

// lockedFor locks each file for a while as it is put, as an installation does
// for years.
type lockedFor struct {
	*s3.Store
	while time.Duration
}

func (a lockedFor) Put(ctx context.Context, name string, content io.Reader) error {
	return a.PutRetained(ctx, name, content, time.Now().Add(a.while))
}

// L4, L5: a real S3 service with Object Lock. The files of an erased case go
// from the disk at once; their copies stay as long as the service keeps them,
// whoever asks, and go with the first look afterwards, with all their versions.
// KUULE_TEST_S3 names a service; make test-s3 builds and starts one.
func TestFilesOfAnErasedCaseOnARealService(t *testing.T) {
	address := os.Getenv("KUULE_TEST_S3")
	if address == "" {
		t.Skip("KUULE_TEST_S3 names no S3 service; make test-s3 builds one")
	}
	t.Parallel()
	who, host, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "@")
	access, secret, _ := strings.Cut(who, ":")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := minio.New(host, &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), MaxRetries: 1, Transport: transport})
	must(t, err)
	name := make([]byte, 8)
	_, _ = rand.Read(name)
	c := s3.Config{Endpoint: "http://" + host, Bucket: "kuule-" + hex.EncodeToString(name), Access: access, Secret: secret, Spool: t.TempDir(), Wrap: func(http.RoundTripper) http.RoundTripper { return transport }}
	must(t, client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{ObjectLocking: true}))
	service, err := s3.Open(t.Context(), c)
	must(t, err)

	w := journaltest.New(t)
	r, j, _, disk := open(t, w, func(c *recorder.Config) { c.Archive = lockedFor{service, 10 * time.Second} })
	room := j.last()
	sender := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	room.give(t, sender)
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	room.send(sender.Seal(1, false, []byte("said")))
	must(t, r.End(context.Background(), w.Hearing))
	until(t, "it was copied", func() bool {
		records, err := filepath.Glob(filepath.Join(disk, "*", "*", "*.archived"))
		return err == nil && len(records) == 1
	})
	files, err := r.Files(w.Hearing)
	must(t, err)
	object := w.Hearing.String() + "/" + files[0].Recording.String() + "/" + files[0].Name
	info, err := service.Stat(t.Context(), object)
	must(t, err)
	if !info.Until.After(time.Now()) {
		t.Fatalf("it came without a lock: %+v", info)
	}

	// While a hold lies on the case nothing goes there, and its lock moves later.
	must(t, r.KeepCase(t.Context(), w.Case, info.Until.Add(5*time.Second), true))
	held, err := service.Stat(t.Context(), object)
	must(t, err)
	if !held.Held || !held.Until.After(info.Until) {
		t.Fatalf("held and extended: %+v", held)
	}
	if err := service.Delete(t.Context(), object); !errors.Is(err, blob.ErrLocked) {
		t.Errorf("deleted under a hold: %v", err)
	}

	// The keys are gone: the disk is cleared, the copy waits for its time.
	left, err := r.EraseCase(t.Context(), w.Case)
	must(t, err)
	if left.Deleted != 1 || left.Left != 1 || !left.Until.Equal(held.Until) {
		t.Errorf("left while it is locked: %+v, want until %s", left, held.Until)
	}
	// With the service's own rights, too, nobody removes it.
	stat, err := client.StatObject(t.Context(), c.Bucket, object, minio.StatObjectOptions{})
	must(t, err)
	if err := client.RemoveObject(t.Context(), c.Bucket, object, minio.RemoveObjectOptions{VersionID: stat.VersionID, GovernanceBypass: true}); err == nil {
		t.Error("a locked copy was removed by the service's owner")
	}
	if left, err = r.EraseCase(t.Context(), w.Case); err != nil || left.Deleted != 0 || left.Left != 1 {
		t.Errorf("another look before its time: %+v %v", left, err)
	}

	until(t, "its time has come and it went", func() bool {
		left, err = r.EraseCase(t.Context(), w.Case)
		must(t, err)
		return left.Deleted == 1
	})
	if time.Now().Before(held.Until) || left.Left != 0 || !left.Until.IsZero() {
		t.Errorf("it went at %s, locked until %s: %+v", time.Now(), held.Until, left)
	}
	for v := range client.ListObjects(t.Context(), c.Bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		t.Errorf("a version is left: %s %s (marker %t) %v", v.Key, v.VersionID, v.IsDeleteMarker, v.Err)
	}
	if left, err = r.EraseCase(t.Context(), w.Case); err != nil || left != (recorder.Remains{}) {
		t.Errorf("once all is gone: %+v %v", left, err)
	}
	// A service that lost its answer is asked again: nothing half.
	must(t, service.Put(t.Context(), "a/b", bytes.NewReader([]byte("x"))))
	must(t, service.Delete(t.Context(), "a/b"))
	must(t, service.Delete(t.Context(), "a/b"))
}
