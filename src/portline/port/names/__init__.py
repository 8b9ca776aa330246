"""The names under which applications find virtual ports, and what lies over devices."""
