package s3_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"kuule/internal/blob"
	"kuule/internal/blob/blobtest"
	"kuule/internal/blob/s3"
)

// server names an S3 service to test against, as
// http://ACCESS:SECRET@127.0.0.1:PORT, or skips. `make test-s3` builds and
// starts one.
func server(t testing.TB) s3.Config {
	t.Helper()
	address := os.Getenv("KUULE_TEST_S3")
	if address == "" {
		t.Skip("KUULE_TEST_S3 names no S3 service; make test-s3 builds one")
	}
	rest, _ := strings.CutPrefix(address, "http://")
	who, host, _ := strings.Cut(rest, "@")
	access, secret, _ := strings.Cut(who, ":")
	return s3.Config{Endpoint: "http://" + host, Access: access, Secret: secret, Spool: t.TempDir()}
}

// bucket makes an empty bucket with Object Lock.
func bucket(t testing.TB, locking bool) s3.Config {
	t.Helper()
	c := server(t)
	name := make([]byte, 8)
	_, _ = rand.Read(name)
	c.Bucket = "kuule-" + hex.EncodeToString(name)
	client, err := minio.New(strings.TrimPrefix(c.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(c.Access, c.Secret, ""), MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{ObjectLocking: locking}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestS3KeepsWhatAStorePromises(t *testing.T) {
	server(t)
	blobtest.Run(t, func(t testing.TB) blob.Store {
		s, err := s3.Open(t.Context(), bucket(t, true))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// L5: the service itself refuses, to whoever holds its credentials.
func TestTheServiceItselfKeepsWhatIsLocked(t *testing.T) {
	c := bucket(t, true)
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	if err := s.PutRetained(t.Context(), "a", strings.NewReader("x"), until); err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(strings.TrimPrefix(c.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(c.Access, c.Secret, ""), MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.StatObject(t.Context(), c.Bucket, "a", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = client.RemoveObject(t.Context(), c.Bucket, "a", minio.RemoveObjectOptions{VersionID: info.VersionID, GovernanceBypass: true})
	if err == nil {
		t.Error("a locked version was removed with bypass")
	}
	mode, earlier := minio.Compliance, until.Add(-30*time.Minute)
	err = client.PutObjectRetention(t.Context(), c.Bucket, "a", minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &earlier, GovernanceBypass: true})
	if err == nil {
		t.Error("a lock was shortened with bypass")
	}
}

func TestABucketWithoutObjectLockIsRefused(t *testing.T) {
	if _, err := s3.Open(t.Context(), bucket(t, false)); err == nil {
		t.Error("bucket without Object Lock was opened")
	}
}

const lockOn = `<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`

// faulty is a service that says it locks and then answers as told.
func faulty(t *testing.T, answer http.HandlerFunc) *s3.Store {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("object-lock") {
			_, _ = io.WriteString(w, lockOn)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(service.Close)
	s, err := s3.Open(t.Context(), s3.Config{Endpoint: service.URL, Bucket: "bucket", Access: "a", Secret: "s", Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShortReadsAreErrors(t *testing.T) {
	t.Parallel()
	s := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Etag", `"e"`)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "01234")
			panic(http.ErrAbortHandler)
		}
	})
	r, err := s.Get(t.Context(), "a", 0, -1)
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if err == nil {
		t.Error("half a file was read as a whole")
	}
}

func TestAServiceThatFailsIsAskedABoundedNumberOfTimes(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := s.Stat(t.Context(), "a"); !errors.Is(err, blob.ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
	if n := asked.Load(); n < 1 || n > 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestASlowServiceEndsWithTheCallersPatience(t *testing.T) {
	t.Parallel()
	s := faulty(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the caller left
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, "a", strings.NewReader("x")); !errors.Is(err, blob.ErrAway) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsSentOfASourceThatBreaks(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := faulty(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	broken := errors.New("source broke")
	err := s.Put(t.Context(), "a", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), failing{broken}))
	if !errors.Is(err, broken) || asked.Load() != 0 {
		t.Errorf("got %v after %d requests", err, asked.Load())
	}
	for _, bad := range []string{"../a", "a//b", "", "A"} {
		if err := s.Put(t.Context(), bad, strings.NewReader("x")); err == nil || asked.Load() != 0 {
			t.Errorf("put %q: %v after %d requests", bad, err, asked.Load())
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSecretAndPlainHTTP(t *testing.T) {
	t.Parallel()
	c := s3.Config{Endpoint: "http://192.0.2.1:9000", Bucket: "b", Access: "a", Secret: "hunter2"}
	if _, err := s3.Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c)} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("printed %q", text)
		}
	}
}
