package nats_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/internal/nats/denied"
)

var update = flag.Bool("update", false, "write the table of rights into docs/security.md")

var roles = []string{"producer", "collector", "runner", "gateway", "worker", "admin"}

// action is something that a role may do or not: a publish, or with "sub " in
// front a subscription.
type action struct {
	name, subject string
	who           string // the roles that may, by their first letters
}

// rights is every action, and who may do it. docs/security.md shows it.
var rights = []action{
	{"publish a job to its queue", "pelton.jobs.default", "prgw"},
	{"publish a job to another queue", "pelton.jobs.bulk", "w"},
	{"cancel a job of its queue", "pelton.cancel.default.j", "prgwa"},
	{"cancel a job of another queue", "pelton.cancel.bulk.j", "wa"},
	{"call the service: submit a job", "pelton.svc.submit.default", "pra"},
	{"call the service: ask for a state", "pelton.svc.status.default", "pcra"},
	{"call the service of another queue", "pelton.svc.status.bulk", "a"},
	{"find the service", "$SRV.PING.pelton", "a"},
	{"serve: answer calls of the service", "sub pelton.svc.submit.default", "w"},
	{"send answers to a job's reply", "answers.x", "prw"},
	{"get answers at a job's reply", "sub answers.x", "pcr"},

	{"feed a request to the workers", "pelton.work.default.j.0", "w"},
	{"take jobs", "$JS.API.CONSUMER.MSG.NEXT.PELTON_JOBS.owners-default", "wa"},
	{"take requests", "$JS.API.CONSUMER.MSG.NEXT.PELTON_WORK.workers-default", "wa"},
	{"look for requests that are held", "$JS.API.DIRECT.GET.PELTON_WORK", "wa"},
	{"look how far requests are given out", "$JS.API.CONSUMER.INFO.PELTON_WORK.workers-bulk", "wa"},
	{"acknowledge requests", "$JS.ACK.PELTON_WORK.workers-default.1.1.1.1.0", "w"},
	{"acknowledge jobs", "$JS.ACK.PELTON_JOBS.owners-default.1.1.1.1.0", "w"},
	{"store a result", "pelton.results.default.j.0", "w"},
	{"publish a job's end", "pelton.results.default.j.end", "w"},
	{"park a request", "pelton.parked.default.j.0", "w"},
	{"tell an owner that a result is stored", "pelton.stored.default.j", "w"},
	{"tell of progress", "pelton.progress.default.j", "w"},
	{"hear of progress in its queue", "sub pelton.progress.default.*", "pcrwa"},
	{"hear of progress in another queue", "sub pelton.progress.bulk.*", "wa"},
	{"ask for the events of a job of its queue", "pelton.listen.default.j", "pcra"},
	{"ask for the events of a job of another queue", "pelton.listen.bulk.j", "a"},
	{"tell what happens to a request", "pelton.events.default.j.0", "w"},
	{"hear what happens to requests of its queue", "sub pelton.events.default.*.*", "pcra"},
	{"hear what happens to requests of another queue", "sub pelton.events.bulk.*.*", "a"},
	{"pass on what an upstream streams", "pelton.deltas.default.j.0", "w"},
	{"hear what is streamed to its queue", "sub pelton.deltas.default.*.*", "cra"},
	{"hear what is streamed to another queue", "sub pelton.deltas.bulk.*.*", "a"},
	{"hear who asks for events", "sub pelton.listen.*.*", "w"},
	{"hear of cancels", "sub pelton.cancel.*.*", "w"},
	{"speak to the fleet about limits", "pelton.fleet.cooldown", "w"},
	{"hear what the fleet says", "sub pelton.fleet.>", "w"},
	{"take the fleet's lease", "$KV.PELTON_FLEET.coordinator", "w"},

	{"read a job's state", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.default.j", "pcrgwa"},
	{"list the states of its queue", "$JS.API.CONSUMER.CREATE.KV_PELTON_STATE.c.$KV.PELTON_STATE.default.*", "pcrgwa"},
	{"read the state of a job of another queue", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.bulk.j", "wa"},
	{"list the states of all queues", "$JS.API.CONSUMER.CREATE.KV_PELTON_STATE.c.$KV.PELTON_STATE.*.*", "wa"},
	{"write or delete a job's state", "$KV.PELTON_STATE.default.j", "wa"},
	{"read the results of its queue", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.c.pelton.results.default.j.*", "crgwa"},
	{"read one result of its queue", "$JS.API.DIRECT.GET.PELTON_RESULTS.pelton.results.default.j.0", "crgwa"},
	{"read the results of another queue", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.c.pelton.results.bulk.j.*", "wa"},
	{"read one result of another queue", "$JS.API.DIRECT.GET.PELTON_RESULTS.pelton.results.bulk.j.0", "wa"},
	{"wait for the end of a job of its queue", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.c.pelton.results.default.j.end", "pcrgwa"},
	{"wait for the end of a job of another queue", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.c.pelton.results.bulk.j.end", "wa"},
	{"read results by their sequence", "$JS.API.DIRECT.GET.PELTON_RESULTS", "a"},
	{"read results with a consumer that says no filter", "$JS.API.CONSUMER.CREATE.PELTON_RESULTS.c", "a"},
	{"hear results as they are stored", "sub pelton.results.default.>", "a"},
	{"hear jobs as they are published", "sub pelton.jobs.default", ""},
	{"hear requests as they are fed", "sub pelton.work.>", ""},
	{"read the jobs that wait", "$JS.API.CONSUMER.CREATE.PELTON_JOBS.c.pelton.jobs.default", "gwa"},
	{"read a job's message by its sequence", "$JS.API.DIRECT.GET.PELTON_JOBS", "rgwa"},
	{"read the jobs that wait in another queue", "$JS.API.CONSUMER.CREATE.PELTON_JOBS.c.pelton.jobs.bulk", "wa"},
	{"read whether a job of its queue was cancelled", "$JS.API.DIRECT.GET.PELTON_CANCELS.pelton.cancel.default.j", "gwa"},
	{"read whether a job of another queue was cancelled", "$JS.API.DIRECT.GET.PELTON_CANCELS.pelton.cancel.bulk.j", "wa"},
	{"ask what a stream holds", "$JS.API.STREAM.INFO.PELTON_JOBS", "rgwa"},
	{"upload an input", "$O.PELTON_INPUT.C.x", "prgwa"},
	{"read inputs", "$JS.API.CONSUMER.CREATE.OBJ_PELTON_INPUT.c.$O.PELTON_INPUT.C.x", "rgwa"},
	{"list inputs and files", "$JS.API.CONSUMER.CREATE.OBJ_PELTON_INPUT.c.$O.PELTON_INPUT.M.>", "gwa"},
	{"erase an input", "$JS.API.STREAM.MSG.DELETE.OBJ_PELTON_INPUT", "ga"},
	{"purge inputs", "$JS.API.STREAM.PURGE.OBJ_PELTON_INPUT", "ga"},
	{"read large results", "$JS.API.CONSUMER.CREATE.OBJ_PELTON_BODIES.c.$O.PELTON_BODIES.C.x", "crgwa"},
	{"store large results", "$O.PELTON_BODIES.C.x", "wa"},

	{"create a stream", "$JS.API.STREAM.CREATE.OTHER", "a"},
	{"ask whether the server has room", "$JS.API.STREAM.CREATE.PELTON_ROOM", "wa"},
	{"change a stream", "$JS.API.STREAM.UPDATE.PELTON_JOBS", "a"},
	{"delete a stream", "$JS.API.STREAM.DELETE.PELTON_PARKED", "a"},
	{"purge a stream", "$JS.API.STREAM.PURGE.PELTON_RESULTS", "a"},
	{"purge work", "$JS.API.STREAM.PURGE.PELTON_WORK", "wa"},
	{"purge parked requests", "$JS.API.STREAM.PURGE.PELTON_PARKED", "wa"},
	{"purge the states of jobs", "$JS.API.STREAM.PURGE.KV_PELTON_STATE", "a"},
	{"purge large results", "$JS.API.STREAM.PURGE.OBJ_PELTON_BODIES", "a"},
	{"delete a message", "$JS.API.STREAM.MSG.DELETE.PELTON_JOBS", "a"},
	{"list streams", "$JS.API.STREAM.LIST", "a"},
	{"back a stream up", "$JS.API.STREAM.SNAPSHOT.PELTON_CANCELS", "a"},
	{"make a queue, change its cap", "$JS.API.CONSUMER.CREATE.PELTON_WORK.workers-default.pelton.work.default.*.*", "a"},
	{"change how the jobs of a queue are given out", "$JS.API.CONSUMER.CREATE.PELTON_JOBS.owners-default.pelton.jobs.default", "a"},
	{"stop the jobs of a queue from being given out", "$JS.API.CONSUMER.DELETE.PELTON_JOBS.owners-bulk", "a"},
	{"list queues", "$JS.API.CONSUMER.LIST.PELTON_WORK", "a"},
	{"remove a queue", "$JS.API.CONSUMER.DELETE.PELTON_WORK.workers-other", "a"},
	{"make a consumer by the old subject", "$JS.API.CONSUMER.DURABLE.CREATE.PELTON_JOBS.c", "a"},

	{"hear the answers of producers", "sub _INBOX_producer.>", "p"},
	{"hear the answers of collectors", "sub _INBOX_collector.>", "c"},
	{"hear the answers of runners", "sub _INBOX_runner.>", "r"},
	{"hear the answers of gateways", "sub _INBOX_gateway.>", "g"},
	{"hear the answers of workers", "sub _INBOX_worker.>", "w"},
	{"hear the answers of admins", "sub _INBOX_admin.>", "a"},
	{"hear inboxes without a role's prefix", "sub _INBOX.>", ""},
	{"answer in the name of others", "_INBOX_producer.x", "w"},
	{"publish to any other subject", "other.subject", ""},
	{"hear everything", "sub >", ""},
	{"ask about the server", "$SYS.REQ.SERVER.PING", ""},
}

func (a action) may(role string) bool { return strings.Contains(a.who, role[:1]) }

// try does the action and returns what the server said to it.
func (a action) try(t *testing.T, nc *nats.Conn) error {
	t.Helper()
	w := denied.Watch(nc)
	if subject, ok := strings.CutPrefix(a.subject, "sub "); ok {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		return w.Subscribed(subject)
	}
	if err := nc.PublishRequest(a.subject, nc.NewInbox(), nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if refused := denied.Parse(nc.LastError()); refused != nil && refused.Subject == a.subject {
		return refused
	}
	return nil
}

// Every action is tried with every role: what is denied is denied, what is
// allowed is not.
func TestRights(t *testing.T) {
	s := testenv.StartTenants(t, "tenants.conf")
	setUp(t, s, "a")
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			for _, a := range rights {
				verb := "denied"
				if a.may(role) {
					verb = "allowed"
				}
				t.Run(verb+"/"+a.name, func(t *testing.T) {
					err := a.try(t, s.Conn("a", role))
					switch {
					case a.may(role) && err != nil:
						t.Errorf("%s may not: %v", role, err)
					case !a.may(role) && err == nil:
						t.Errorf("%s may publish or subscribe to %s", role, a.subject)
					case !a.may(role) && !errors.Is(err, nats.ErrPermissionViolation):
						t.Errorf("not reported as denied: %v", err)
					}
				})
			}
		})
	}
}

var table = regexp.MustCompile(`(?m)^\| What \| Subject \|.*\n(\|.*\n)+`)

// The document shows the rights that are tried.
func TestDocumentedRights(t *testing.T) {
	const path = "../../docs/security.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| What | Subject | producer | collector | runner | gateway | worker | admin |\n|---|---|---|---|---|---|---|---|\n")
	for _, a := range rights {
		subject, listens := strings.CutPrefix(a.subject, "sub ")
		if listens {
			subject = "`" + subject + "`, subscribed"
		} else {
			subject = "`" + subject + "`"
		}
		fmt.Fprintf(&want, "| %s | %s |", a.name, subject)
		for _, role := range roles {
			if a.may(role) {
				want.WriteString(" yes |")
			} else {
				want.WriteString(" – |")
			}
		}
		want.WriteString("\n")
	}
	if *update {
		text = table.ReplaceAllLiteral(text, []byte(want.String()))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(table.Find(text)) != want.String() {
		t.Error("docs/security.md does not show these rights; run go test ./deploy/nats -run Documented -update")
	}
}
