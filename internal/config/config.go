// Package config is the configuration of a Pelton process: what it takes from
// flags, the environment and the settings file, in this order of strength.
//
// [Config] is the whole of it. Each field's tags hold the variable's name, its
// default and its meaning; the table in the README is made from them by [Table].
package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"pelton/internal/secret"
)

// Config is the configuration of one process. [Load] makes one; a Config made
// by hand starts from [Default]. It is not changed after it was loaded, and may
// then be read concurrently.
//
// The tag value is the default and desc the meaning; shown is the default as
// people read it, where it depends on the machine. Fields tagged file:"-"
// cannot be set in the settings file.
type Config struct {
	NATSURL      string      `envconfig:"NATS_URL" desc:"NATS servers, comma separated; without it Pelton runs its own"`
	NATSContext  string      `envconfig:"NATS_CONTEXT" desc:"name of a context of the nats CLI to connect with"`
	NATSCreds    string      `envconfig:"NATS_CREDS" desc:"credentials file"`
	NATSUser     secret.Text `envconfig:"NATS_USER" desc:"user name; a token when there is no password"`
	NATSPassword secret.Text `envconfig:"NATS_PASSWORD" desc:"password of NATS_USER"`
	NATSNkey     string      `envconfig:"NATS_NKEY" desc:"file with an nkey seed"`
	NATSCert     string      `envconfig:"NATS_CERT" desc:"TLS client certificate file"`
	NATSKey      string      `envconfig:"NATS_KEY" desc:"TLS private key file"`
	NATSCA       string      `envconfig:"NATS_CA" desc:"file with the certificate authorities to trust"`
	// The nats CLI has it as the flag --inbox-prefix only.
	NATSInboxPrefix string `envconfig:"NATS_INBOX_PREFIX" shown:"_INBOX" desc:"prefix of the subjects that answers come to, where the user may subscribe to no other"`

	OpenAIKey     secret.Text `envconfig:"OPENAI_API_KEY" file:"-" desc:"key of the upstream when no models are configured"`
	OpenAIBaseURL string      `envconfig:"OPENAI_BASE_URL" file:"-" shown:"https://api.openai.com/v1" desc:"address of the upstream when no models are configured"`

	File          string        `envconfig:"PELTON_CONFIG" file:"-" desc:"YAML file with the models (LiteLLM's model_list) and, under pelton_settings, these settings: names in lower case without PELTON_"`
	AcceptUnused  List          `envconfig:"PELTON_ACCEPT_UNUSED" shown:"none" desc:"settings of that file that guard money, data or safety, are not carried out, and need not be, comma separated, such as guardrails; without its name here a file that has one is refused"`
	Prefix        string        `envconfig:"PELTON_PREFIX" value:"pelton" desc:"first token of all subjects; in capitals, of all stream names"`
	Queues        Queues        `envconfig:"PELTON_QUEUES" value:"default=256" desc:"queues to serve and how many requests of each may be in flight on all workers together; the number counts when the queue is made, later use pelton queue set"`
	Slots         int           `envconfig:"PELTON_SLOTS" value:"256" desc:"calls of this process at once"`
	StoreDir      string        `envconfig:"PELTON_STORE_DIR" shown:"$XDG_DATA_HOME/pelton" desc:"directory of the NATS server that Pelton runs itself"`
	Replicas      int           `envconfig:"PELTON_REPLICAS" value:"1" desc:"copies of each stream in a NATS cluster, 1 to 5"`
	ResultsMaxAge time.Duration `envconfig:"PELTON_RESULTS_MAX_AGE" value:"72h" desc:"how long jobs and results are kept; a job may take half of it"`
	Webhooks      secret.Text   `envconfig:"PELTON_WEBHOOKS" desc:"webhooks that jobs may name as their callback, as name=https://…, comma separated"`
	WebhookKeys   secret.Text   `envconfig:"PELTON_WEBHOOK_SECRETS" desc:"their signing secrets, as name=whsec_…, comma separated"`
	ReplyAllow    List          `envconfig:"PELTON_REPLY_ALLOW" shown:"all" desc:"subjects that a job may name as its reply, comma separated, with wildcards"`
	Sync          Sync          `envconfig:"PELTON_SYNC" shown:"2m" desc:"how often the own NATS server writes through to the disk: always or a duration; a power cut can lose what came since, and always is some ten times slower"`
	HTTPAddr      string        `envconfig:"PELTON_HTTP_ADDR" value:"127.0.0.1:9321" desc:"where a worker serves health, metrics and its page; without a host it is this machine alone, and off serves nothing"`
	HTTPToken     secret.Text   `envconfig:"PELTON_HTTP_TOKEN" desc:"what a client of PELTON_HTTP_ADDR shows to change something, and to read from another machine; 16 characters or more; without one nobody may"`
	APIKeys       string        `envconfig:"PELTON_API_KEYS" desc:"YAML file with the keys of the batch API (/v1/files, /v1/batches); without it clients on this machine alone are served, and need none"`
	APIMaxFile    int           `envconfig:"PELTON_API_MAX_FILE" value:"1024" desc:"MiB of one file uploaded to the batch API"`
	APIMaxLines   int           `envconfig:"PELTON_API_MAX_LINES" value:"0" desc:"lines of one batch of the batch API; 0 for as many as a job can have"`
	LogLevel      string        `envconfig:"PELTON_LOG_LEVEL" value:"info" desc:"trace, debug, info, warn, error or disabled"`
	LogFormat     string        `envconfig:"PELTON_LOG_FORMAT" value:"auto" desc:"console, json, or auto: console on a terminal"`
	WorkerName    string        `envconfig:"PELTON_WORKER_NAME" shown:"host name and process id" desc:"name of this process in logs and on the NATS server"`
	Experimental  List          `envconfig:"PELTON_EXPERIMENTAL" shown:"none" desc:"experimental features to turn on, comma separated: adaptive-concurrency (find out how many calls at once each deployment takes)"`
}

// Bounds of single settings.
const (
	MaxSlots         = 100_000
	MaxReplicas      = 5
	MaxAPIFile       = 1 << 20 // MiB
	MaxAPILines      = 1_000_000_000
	MinResultsMaxAge = time.Minute
	MinSync          = 100 * time.Millisecond
	MinHTTPToken     = 16 // characters
)

// Default returns the configuration of a process for which nothing is set.
func Default() *Config {
	c := &Config{StoreDir: defaultStoreDir(), WorkerName: defaultWorkerName()}
	for _, v := range variables {
		if v.value != "" {
			if err := v.set(c, v.value); err != nil {
				panic("config: default of " + v.name + ": " + err.Error())
			}
		}
	}
	return c
}

// HTTPOff reports whether a worker is to serve no HTTP.
func (c *Config) HTTPOff() bool { return c.HTTPAddr == "off" }

// Remote reports whether NATS is reached over the network, rather than run in
// the process.
func (c *Config) Remote() bool { return c.NATSURL != "" || c.NATSContext != "" }

// defaultStoreDir is where the platform wants an application's data.
func defaultStoreDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pelton")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // Validate asks for one where it matters
	}
	switch runtime.GOOS {
	case "windows":
		if dir := os.Getenv("LocalAppData"); dir != "" {
			return filepath.Join(dir, "pelton")
		}
		return filepath.Join(home, "AppData", "Local", "pelton")
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "pelton")
	default:
		return filepath.Join(home, ".local", "share", "pelton")
	}
}

func defaultWorkerName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "pelton"
	}
	return host + "-" + strconv.Itoa(os.Getpid())
}
