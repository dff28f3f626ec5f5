package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/internal/config"
	"pelton/internal/dev/testenv"
	"pelton/internal/nats/natsconn"
	"pelton/internal/secret"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

// The files that are made work with the server they are made for, and give each
// role the rights of the configuration.
func TestCreds(t *testing.T) {
	vars, _ := testenv.TenantsVars(t)
	for name, value := range vars {
		t.Setenv(name, value)
	}
	dir := filepath.Join(t.TempDir(), "creds")
	if err := generate("../tenants.conf", dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../operator.conf")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "operator.conf"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := testenv.StartTenants(t, filepath.Join(dir, "operator.conf"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	role := func(tenant, role string) *config.Config {
		cfg := s.Config(tenant, role)
		cfg.NATSUser, cfg.NATSPassword = secret.Text{}, secret.Text{}
		cfg.NATSCreds = filepath.Join(dir, "TEAM_"+strings.ToUpper(tenant), "team-"+tenant+"-"+role+".creds")
		return cfg
	}
	client := func(cfg *config.Config, options ...jobs.Option) *jobs.Client {
		c, err := jobs.NewClient(s.Connect(cfg), options...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	b, err := store.Open(s.Connect(role("a", "admin")), store.Settings{Log: testenv.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(ctx, map[string]int{"default": 8}); err != nil {
		t.Fatal(err)
	}
	job := schema.Job{Requests: testenv.Chats(1)}
	if _, err := client(role("a", "producer")).Submit(ctx, job); err != nil {
		t.Error("a producer:", err)
	}
	for _, name := range []string{"worker", "admin", "collector"} { // with all their rights in what they connect with
		s.Connect(role("a", name))
	}
	for _, name := range []string{"runner", "gateway"} {
		if _, err := client(role("a", name)).Submit(ctx, job); err != nil {
			t.Errorf("a %s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"a producer in another queue": submit(ctx, client(role("a", "producer"), jobs.WithQueue("bulk")), job),
		"a collector":                 submit(ctx, client(role("a", "collector")), job),
	} {
		if !errors.Is(err, jobs.ErrDenied) {
			t.Errorf("%s submits: %v", name, err)
		}
	}
	if err := submit(ctx, client(role("b", "producer")), job); !errors.Is(err, jobs.ErrNotSetUp) {
		t.Error("a producer of another tenant:", err)
	}
	var failed *natsconn.Error
	if _, err := natsconn.Connect(ctx, s.Config("a", "producer"), "test", testenv.Logger(t)); !errors.As(err, &failed) || failed.Kind != natsconn.Refused {
		t.Error("with the password of the configuration:", err)
	}
}

func submit(ctx context.Context, c *jobs.Client, job schema.Job) error {
	_, err := c.Submit(ctx, job)
	return err
}

// Keys are read by their owner only, and never overwritten.
func TestKeysAreKept(t *testing.T) {
	vars, _ := testenv.TenantsVars(t)
	for name, value := range vars {
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	if err := generate("../tenants.conf", dir); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		n++
		info, err := entry.Info()
		if err == nil && os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil || n != 1+12+4 { // server.conf, users, keys of the operator and three accounts
		t.Errorf("%d files, %v", n, err)
	}
	if err := generate("../tenants.conf", dir); err == nil {
		t.Error("made again over what is there")
	}
}
