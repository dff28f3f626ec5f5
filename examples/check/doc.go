// Package check runs the examples as their readers would, each against a worker:
// make examples-check. It fetches what the JavaScript and Python ones need.
package check
