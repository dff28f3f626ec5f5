// Package jet is one connection to JetStream as the parts of a store use it. What
// the server refuses for want of permission is told at once; what a cluster
// answers while it has no leader is asked again; and many small messages are
// published without a goroutine or a timer for each.
package jet
