//go:build race

package worker_test

// streamWords is the length of the answers of many streams at once: shorter
// where every step costs ten times as much.
const streamWords = 20
