package router

import (
	"sync"

	"github.com/rs/zerolog"
)

// dropped tells people once of each parameter that a deployment leaves out.
type dropped struct {
	id   string
	log  zerolog.Logger
	told sync.Map // names
}

// tell is [protocol.Upstream]'s Dropped. Of a parameter in an array, one of all is
// told of.
func (d *dropped) tell(param, why string) {
	if _, before := d.told.LoadOrStore(unindexed(param), nil); before {
		return
	}
	line := d.log.Warn().Str("deployment", d.id).Str("param", param)
	if why != "" {
		line = line.Str("why", why)
	}
	line.Msg("a parameter is left out, as drop_params says: it cannot be carried to this server")
}

// unindexed is a parameter's name without the indexes in it.
func unindexed(param string) string {
	out := make([]byte, 0, len(param))
	for i := range len(param) {
		if c := param[i]; c < '0' || c > '9' || i == 0 || out[len(out)-1] != '[' {
			out = append(out, c)
		}
	}
	return string(out)
}
