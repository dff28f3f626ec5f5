package main

import "context"

// shed takes results out of a store of a run's own once they are in the output:
// the server's index of what is stored takes some 200 bytes of memory a result, and
// the store as much of the disk as the output. Of jobs that are no larger than
// shedEvery nothing is taken out.
//
// What is taken out is an unbroken row from the first sequence on, all of it
// written and on the disk. So whatever ends the run, the output and the store hold
// each result that was paid for at least once.
type shed struct {
	low   uint64              // all up to it are in the output
	above map[uint64]struct{} // those beyond it that are, too
	gone  uint64              // up to where the store has given them up
}

// shedEvery is how many results are taken out at once. Only a test changes it.
var shedEvery uint64 = 20_000

// wrote notes that the result of a sequence is in the output.
func (s *shed) wrote(seq uint64) {
	if seq != s.low+1 {
		if s.above == nil {
			s.above = map[uint64]struct{}{}
		}
		s.above[seq] = struct{}{}
		return
	}
	for s.low++; ; s.low++ {
		if _, ok := s.above[s.low+1]; !ok {
			return
		}
		delete(s.above, s.low+1)
	}
}

// due reports whether enough has come together. The last shedEvery stay: the end
// of a job may ask for one of its latest results.
func (s *shed) due() bool { return s.low >= s.gone+2*shedEvery }

// forget takes out what is due. An output that cannot be brought to the disk is an
// error of the run; a store that does not give up what it has is not.
func (s *session) forget(ctx context.Context) error {
	if !s.site.local() || !s.shed.due() {
		return nil
	}
	if err := s.out.Sync(); err != nil {
		return writeError{err}
	}
	s.shed.gone = s.shed.low - shedEvery
	if err := s.site.broker.Results.Forget(ctx, s.shed.gone); err != nil {
		s.site.log.Debug().Err(err).Msg("the store keeps results that are in the output")
	}
	return nil
}
