// Package trial tries the whole house from outside: the real program in processes of its own, with its storage taken away,
// its doors stormed, its certificates changed and its ends cut, and everything it wrote searched for secrets. It holds
// tests and what serves them, and nothing that a program could use.
package trial
