// Package conform holds the server against the specifications as a certifier would: over real HTTPS, by small strict parties
// that check all that a careful client checks, each feature under the name that the plans of the OpenID Foundation give it.
// It holds tests and what serves them, and nothing that a program could use.
package conform
