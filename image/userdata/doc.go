// Package userdata is what an image's appliance is given for its first start: one YAML file, in
// which are settings of Landbridge (package config) and those of the machine.
//
// It is not for applying any of it, nor for finding the file: that is package pid1's.
//
//   - [Parse]: the file as a whole, or everything that is wrong with it, by lines.
//   - [Data]: what it says.
//
// docs/image.md lists the keys, which a test holds.
package userdata
