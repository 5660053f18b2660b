package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/recipe"
)

// build is what this program is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source
	Time     string `json:"time,omitempty"`     // of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Recipe   int    `json:"recipe_format"`
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which program this is", Args: words(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			about := thisBuild()
			return p.show(about, func(t *table) {
				t.row("version", about.Version)
				t.row("source", about.Revision+" "+about.Time)
				t.row("go", about.Go+" "+about.Platform)
				t.row("recipe format", recipe.Format)
			})
		},
	}
}

func thisBuild() build {
	about := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Recipe: recipe.Format}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return about
	}
	if info.Main.Version != "" {
		about.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			about.Revision = setting.Value
		case "vcs.time":
			about.Time = setting.Value
		}
	}
	return about
}
