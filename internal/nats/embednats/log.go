package embednats

import (
	"fmt"
	"sync"

	"github.com/rs/zerolog"
)

// serverLog is the nats-server's logger. A notice of the server is a detail of
// ours. A fatal line does not end the process: Start turns it into an error.
type serverLog struct {
	logger zerolog.Logger

	mu    sync.Mutex
	fatal string
}

func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug().Msgf(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.logger.Warn().Msgf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.logger.Error().Msgf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.logger.Trace().Msgf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.logger.Trace().Msgf(format, v...) }

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

func (l *serverLog) fatalText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
