package app

import (
	"context"
	"fmt"
	"os"

	"github.com/gardeauth/garde/internal/manage"
)

// seed adds the people of the file that node.yaml names, for test set-ups. Who is there already stays as they are.
func (s *Server) seed(ctx context.Context) error {
	if s.Node.Seed == "" {
		return nil
	}
	raw, err := os.ReadFile(s.Node.Seed)
	if err != nil {
		return err
	}
	people, err := manage.ReadPeople(s.Node.Seed, raw)
	if err != nil {
		return err
	}
	done, err := s.desk().Users.Import(ctx, "system", people, manage.ImportOptions{SkipExisting: true})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if done.Added > 0 {
		s.Log.Info("seeded", "added", done.Added, "there already", done.Skipped)
	}
	return nil
}
