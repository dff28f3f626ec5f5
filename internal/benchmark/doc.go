// Package benchmark measures what the queue costs: the same requests to the same
// upstream by programs that have no queue, and by Pelton, in turns.
//
// # Processes
//
// Every program that is measured, and the upstream, runs in a process of its own
// (see [Serve]), so that each has its own CPU time, allocations and memory, and
// none collects another's garbage. The measuring process ([Run]) starts them,
// tells them what to do and waits meanwhile; when it goes, they see the end of
// their standard input and go as well. A program lives for one cell of the table
// and rests while another has its turn.
//
// # What is compared
//
// Rounds are paired: in each round every program makes the same number of
// requests, one program after the other, and a ratio is that of two figures of
// one round. What is reported is the median over the rounds, with the lowest and
// the highest. Each answer is checked to be that of its own request.
package benchmark
