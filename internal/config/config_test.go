package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"kuule/internal/config"
)

func TestEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte("{}"))
	if err != nil || !reflect.DeepEqual(c, config.Default()) {
		t.Fatalf("got %+v, %v", c, err)
	}
	text, err := c.Write()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := config.Parse(text); err != nil || !reflect.DeepEqual(again, c) {
		t.Fatalf("written and read: %+v, %v", again, err)
	}
}

func TestWhatCannotWorkIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"misspelt":         {`{"hots": "x"}`, "hots"},
		"inside":           {`{"ports": {"htps": 1}}`, "htps"},
		"twice":            {`{"host": "a", "host": "b"}`, "twice"},
		"two values":       {`{} {}`, "end"},
		"no JSON":          {`host: x`, "invalid"},
		"relative data":    {`{"data": "x"}`, "absolute"},
		"host":             {`{"host": "a b"}`, "DNS"},
		"name":             {`{"name": "A+B"}`, "name"},
		"address":          {`{"listen": "everywhere"}`, "IP"},
		"media address":    {`{"media": ["10.0.0.1", "x"]}`, "IP"},
		"port range":       {`{"ports": {"https": 70000}}`, "https"},
		"port collision":   {`{"ports": {"media": 8443}}`, "twice"},
		"metrics port":     {`{"metrics": {"sfu": 8444}}`, "twice"},
		"traces":           {`{"traces": "collector"}`, "OTLP"},
		"traces in clear":  {`{"traces": "http://192.0.2.1:4318"}`, "OTLP"},
		"database":         {`{"database": "mysql://secret@x"}`, "sqlite"},
		"user":             {`{"users": {"sfu": "a b"}}`, "system user"},
		"keys backend":     {`{"keys": {"backend": "hsm"}}`, "hsm"},
		"vault in clear":   {`{"keys": {"backend": "vault", "vault": {"address": "http://vault:8200", "role_id": "x"}}}`, "https"},
		"vault login":      {`{"keys": {"backend": "vault", "vault": {"address": "https://vault:8200"}}}`, "one way"},
		"vault two ways":   {`{"keys": {"backend": "vault", "vault": {"address": "https://vault:8200", "role_id": "a", "certificate": "b"}}}`, "one way"},
		"vault half":       {`{"keys": {"backend": "vault", "vault": {"address": "https://vault:8200", "role_id": "a"}}}`, "secret_id_file"},
		"blobs backend":    {`{"blobs": {"backend": "tape"}}`, "tape"},
		"blobs in clear":   {`{"blobs": {"backend": "s3", "endpoint": "http://s3:9000", "bucket": "b", "credentials": "c"}}`, "https"},
		"blobs half":       {`{"blobs": {"backend": "s3", "endpoint": "https://s3:9000"}}`, "bucket"},
		"part":             {`{"biometrics": {"parts": [{"port": "optics", "url": "unix:/run/x"}]}}`, "no part that the server asks"},
		"two registers":    {`{"biometrics": {"parts": [{"port": "register", "url": "unix:/run/x"}, {"port": "register", "url": "unix:/run/y"}]}}`, "two parts"},
		"part in clear":    {`{"biometrics": {"parts": [{"port": "register", "url": "http://register:1"}]}}`, "https"},
		"part, half":       {`{"biometrics": {"parts": [{"port": "register", "url": "https://register:1", "ca": "x"}]}}`, "certificate"},
		"signed register":  {`{"biometrics": {"parts": [{"port": "register", "url": "unix:/run/x", "signer": "x"}]}}`, "signer"},
		"stamps":           {`{"stamps": {"authority": "tsa", "roots": "/x"}}`, "https"},
		"stamps, rootless": {`{"stamps": {"authority": "https://tsa"}}`, "roots"},
		"stamps, seldom":   {`{"stamps": {"authority": "https://tsa", "roots": "/x", "minutes": 99999}}`, "minutes"},
		"issuer":           {`{"identity": {"issuer": "http://elsewhere"}}`, "https"},
	} {
		_, err := config.Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: error repeats a secret: %v", name, err)
		}
	}
}

func TestProcessesHaveFoldersOfTheirOwn(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "data")
	layout := config.NewLayout(root)
	own := []string{layout.Door(), layout.Authority(), layout.SFU(), layout.Recorder("main"), layout.Recorder("second")}
	for i, folder := range own {
		if err := layout.Make(folder); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(folder)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", folder, info.Mode(), err)
		}
		for _, other := range own[:i] {
			if strings.HasPrefix(folder, other+"/") || folder == other {
				t.Errorf("%s lies in %s", folder, other)
			}
		}
	}
	if err := layout.Make(filepath.Dir(root)); err == nil {
		t.Error("folder outside the data folder was made")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"host":"x","ports":{"https":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := config.Parse(text); err == nil && c.Check() != nil {
			t.Fatal("parsed and not checked")
		}
	})
}
