package main

import "github.com/spf13/cobra"

func whyCommand() *cobra.Command { return &cobra.Command{Use: "why"} }
