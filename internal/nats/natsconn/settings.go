package natsconn

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"pelton/internal/config"
)

// settings are what a connection is made of. The JSON names are those of the
// nats CLI's context files. The library that reads these (synadia-io/orbit.go)
// connects with them on its own terms: retries, error texts and the selected
// context included.
type settings struct {
	name string          // of the context; empty: none
	over map[string]bool // variables that stand over the context

	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Creds       string `json:"creds"`
	Nkey        string `json:"nkey"`
	UserJWT     string `json:"user_jwt"`
	UserSeed    string `json:"user_seed"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`

	// What a context can say and we cannot do.
	NSC       string `json:"nsc"`
	Socks     string `json:"socks_proxy"`
	Domain    string `json:"jetstream_domain"`
	APIPrefix string `json:"jetstream_api_prefix"`
	CertStore string `json:"windows_cert_store"`
}

// settingsOf takes the context, if one is named, and puts the variables over it.
func settingsOf(cfg *config.Config) (*settings, error) {
	s := &settings{over: map[string]bool{"NATS_CREDS": cfg.NATSCreds != "", "NATS_NKEY": cfg.NATSNkey != "",
		"NATS_CERT": cfg.NATSCert != "", "NATS_CA": cfg.NATSCA != "", "NATS_INBOX_PREFIX": cfg.NATSInboxPrefix != ""}}
	if cfg.NATSContext != "" {
		if err := s.readContext(cfg.NATSContext); err != nil {
			return nil, err
		}
	}
	if cfg.NATSURL != "" {
		s.URL = cfg.NATSURL
	}
	if s.URL == "" {
		s.URL = nats.DefaultURL
	}
	if cfg.NATSCreds != "" || cfg.NATSNkey != "" || !cfg.NATSUser.Empty() {
		s.User, s.Password, s.Token, s.UserJWT, s.UserSeed = "", "", "", "", ""
		s.Creds, s.Nkey = cfg.NATSCreds, cfg.NATSNkey
		if cfg.NATSPassword.Empty() { // as the nats CLI has it
			s.Token = cfg.NATSUser.Reveal()
		} else {
			s.User, s.Password = cfg.NATSUser.Reveal(), cfg.NATSPassword.Reveal()
		}
	}
	if cfg.NATSCert != "" {
		s.Cert, s.Key = cfg.NATSCert, cfg.NATSKey
	}
	if cfg.NATSCA != "" {
		s.CA = cfg.NATSCA
	}
	if cfg.NATSInboxPrefix != "" {
		s.InboxPrefix = cfg.NATSInboxPrefix
	}
	return s, nil
}

// readContext fills s from the named context, or the file at an absolute path.
func (s *settings) readContext(name string) error {
	s.name = name
	path := name
	if !filepath.IsAbs(name) {
		dir, err := contextDir()
		if err != nil {
			return setupError("NATS_CONTEXT: %w", err)
		}
		if strings.Contains(name, "..") || strings.ContainsAny(name, `/\`) {
			return setupError("NATS_CONTEXT: %q is not the name of a context", name)
		}
		path = filepath.Join(dir, name+".json")
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return setupError("NATS_CONTEXT: there is no context %s%s", name, known(filepath.Dir(path)))
	}
	if err != nil {
		return setupError("NATS_CONTEXT: %w", err)
	}
	if err := json.Unmarshal(content, s); err != nil {
		return setupError("NATS_CONTEXT: %s is not a context file: %v", path, err)
	}
	for what, value := range map[string]string{"nsc": s.NSC, "socks_proxy": s.Socks, "jetstream_domain": s.Domain,
		"jetstream_api_prefix": s.APIPrefix, "windows_cert_store": s.CertStore} {
		if value != "" {
			return setupError("NATS_CONTEXT: the context %s sets %s, which pelton cannot do", name, what)
		}
	}
	for _, file := range []*string{&s.Creds, &s.Nkey, &s.Cert, &s.Key, &s.CA} {
		*file = expand(*file)
	}
	return nil
}

// contextDir is where the nats CLI keeps its contexts, on every platform.
func contextDir() (string, error) {
	parent := os.Getenv("XDG_CONFIG_HOME")
	if parent == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		parent = filepath.Join(home, ".config")
	}
	return filepath.Join(parent, "nats", "context"), nil
}

// known lists the contexts in dir, for an error.
func known(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if len(files) == 0 {
		return " in " + dir
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	return "; there are " + strings.Join(files, ", ")
}

func expand(path string) string {
	path = os.ExpandEnv(path)
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return home + rest
		}
	}
	return path
}

// options are those for nats.Connect. What they need of files is read here
// first, so that errors name the variable it came from.
func (s *settings) options() ([]nats.Option, error) {
	var opts []nats.Option
	switch {
	case s.Creds != "":
		content, err := s.read("NATS_CREDS", s.Creds)
		if err != nil {
			return nil, err
		}
		if _, err := nkeys.ParseDecoratedNKey(content); err != nil {
			return nil, setupError("%s: %s is no credentials file", s.source("NATS_CREDS"), s.Creds)
		}
		opts = append(opts, nats.UserCredentials(s.Creds))
	case s.Nkey != "":
		if _, err := s.read("NATS_NKEY", s.Nkey); err != nil {
			return nil, err
		}
		opt, err := nats.NkeyOptionFromSeed(s.Nkey)
		if err != nil {
			return nil, setupError("%s: %s holds no nkey seed of a user", s.source("NATS_NKEY"), s.Nkey)
		}
		opts = append(opts, opt)
	case s.UserJWT != "":
		opts = append(opts, nats.UserJWTAndSeed(s.UserJWT, s.UserSeed))
	case s.User != "":
		opts = append(opts, nats.UserInfo(s.User, s.Password))
	case s.Token != "":
		opts = append(opts, nats.Token(s.Token))
	}
	if s.Cert != "" {
		if _, err := tls.LoadX509KeyPair(s.Cert, s.Key); err != nil {
			return nil, setupError("%s: cannot use the certificate %s and its key: %w", s.source("NATS_CERT"), s.Cert, err)
		}
		opts = append(opts, nats.ClientCert(s.Cert, s.Key))
	}
	if s.CA != "" {
		content, err := s.read("NATS_CA", s.CA)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(content) {
			return nil, setupError("%s: %s holds no certificate", s.source("NATS_CA"), s.CA)
		}
		opts = append(opts, nats.RootCAs(s.CA))
	}
	if s.InboxPrefix != "" {
		if strings.ContainsAny(s.InboxPrefix, "*> \t\r\n") || strings.HasSuffix(s.InboxPrefix, ".") {
			return nil, setupError("%s: %q is no prefix of inboxes: write one like _INBOX_producer", s.source("NATS_INBOX_PREFIX"), s.InboxPrefix)
		}
		opts = append(opts, nats.CustomInboxPrefix(s.InboxPrefix))
	}
	if s.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts, nil
}

func (s *settings) read(variable, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, setupError("%s: cannot read the file: %w", s.source(variable), err)
	}
	return content, nil
}

// source says where a setting came from.
func (s *settings) source(variable string) string {
	if s.name != "" && !s.over[variable] {
		return "NATS context " + s.name
	}
	return variable
}
