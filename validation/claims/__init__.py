"""The claims of the papers, one sub-package a paper; every module ends with a tuple CLAIMS."""
