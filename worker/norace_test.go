//go:build !race

package worker_test

// streamWords is the length of the answers of many streams at once.
const streamWords = 200
