// Package config is what an operator decides about one appliance: the settings, the YAML file and
// the flags that they come from, and the errors in them, all of them at once, each with its line.
//
// It is not for what the appliance decides or remembers (the state), nor does it look at this
// machine: whether a port is fit, or an address free, is found out by those who use it.
//
//   - [Config]: the settings together. [Default] is that of somebody who has decided nothing.
//   - [Load]: defaults, overridden by the file, overridden by flags. A faulty configuration gives
//     an [Error], and none of its settings.
//   - [Setting], [Settings]: each setting once, with its key, flag, help, default and parser.
//     docs/configuration.md lists the same, which a test holds.
//
// Configurations are values: who gets one reads it, and nobody changes it.
package config
