// Command creds makes credentials files for the users of a NATS configuration:
// an operator, an account for each of its accounts and a user for each of its
// users, with the same permissions, signed. It writes
//
//	OUT/server.conf           operator and accounts, for a server to include
//	OUT/ACCOUNT/USER.creds    one credentials file per user
//	OUT/keys/…                the seeds of the operator and the accounts
//
// The environment is that of the server, since the configuration names it; the
// passwords are not used. Whoever has the keys can make further users: keep them
// away from the server.
//
//	go run ./deploy/nats/creds -config deploy/nats/tenants.conf -out creds
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

func main() {
	config := flag.String("config", "deploy/nats/tenants.conf", "the configuration with accounts and users")
	out := flag.String("out", "", "an empty or new directory")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := generate(*config, *out); err != nil {
		fmt.Fprintln(os.Stderr, "creds:", err)
		os.Exit(1)
	}
}

// generate reads the configuration and writes what Command creds is for.
func generate(config, out string) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: keys are never overwritten", out)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	opts, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return err
	}
	m := &maker{out: out, operator: operator, preload: map[string]string{}}
	for _, account := range opts.Accounts {
		if account.Name == server.DEFAULT_GLOBAL_ACCOUNT || account.Name == server.DEFAULT_SYSTEM_ACCOUNT {
			continue
		}
		if err := m.account(account.Name, opts.Users); err != nil {
			return fmt.Errorf("account %s: %w", account.Name, err)
		}
	}
	return m.finish()
}

// maker signs and writes.
type maker struct {
	out      string
	operator nkeys.KeyPair
	preload  map[string]string // accounts by their public keys
}

// account makes an account that may use JetStream, and the users that the
// configuration gives it.
func (m *maker) account(name string, users []*server.User) error {
	key, _, err := m.newAccount(name, func(c *jwt.AccountClaims) {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	})
	if err != nil {
		return err
	}
	made := 0
	for _, u := range users {
		if u.Account == nil || u.Account.Name != name {
			continue
		}
		if err := m.user(name, key, u); err != nil {
			return fmt.Errorf("user %s: %w", u.Username, err)
		}
		made++
	}
	if made == 0 {
		return errors.New("has no user with a name")
	}
	return nil
}

func (m *maker) newAccount(name string, change func(*jwt.AccountClaims)) (nkeys.KeyPair, string, error) {
	key, err := nkeys.CreateAccount()
	if err != nil {
		return nil, "", err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, "", err
	}
	claims := jwt.NewAccountClaims(public)
	claims.Name = name
	change(claims)
	if m.preload[public], err = claims.Encode(m.operator); err != nil {
		return nil, "", err
	}
	return key, public, m.seed("account-"+name, key)
}

// user makes a user's credentials file, with the rights that the configuration
// gives it.
func (m *maker) user(account string, accountKey nkeys.KeyPair, u *server.User) error {
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	public, err := key.PublicKey()
	if err != nil {
		return err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = u.Username
	if u.Permissions != nil {
		if u.Permissions.Response != nil {
			return errors.New("allow_responses is not carried over")
		}
		if p := u.Permissions.Publish; p != nil {
			claims.Pub = jwt.Permission{Allow: p.Allow, Deny: p.Deny}
		}
		if p := u.Permissions.Subscribe; p != nil {
			claims.Sub = jwt.Permission{Allow: p.Allow, Deny: p.Deny}
		}
	}
	token, err := claims.Encode(accountKey)
	if err != nil {
		return err
	}
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	file, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		return err
	}
	return m.write(filepath.Join(account, u.Username+".creds"), file)
}

// finish writes the operator and what the server includes.
func (m *maker) finish() error {
	_, system, err := m.newAccount("SYS", func(*jwt.AccountClaims) {})
	if err != nil {
		return err
	}
	public, err := m.operator.PublicKey()
	if err != nil {
		return err
	}
	claims := jwt.NewOperatorClaims(public)
	claims.Name, claims.SystemAccount = "pelton", system
	token, err := claims.Encode(m.operator)
	if err != nil {
		return err
	}
	if err := m.seed("operator", m.operator); err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload {\n", token, system)
	for _, account := range slices.Sorted(maps.Keys(m.preload)) {
		fmt.Fprintf(&text, "  %s: %s\n", account, m.preload[account])
	}
	text.WriteString("}\n")
	return m.write("server.conf", []byte(text.String()))
}

func (m *maker) seed(name string, key nkeys.KeyPair) error {
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	return m.write(filepath.Join("keys", name+".nk"), append(seed, '\n'))
}

// write makes a file that only its owner reads.
func (m *maker) write(name string, content []byte) error {
	path := filepath.Join(m.out, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
