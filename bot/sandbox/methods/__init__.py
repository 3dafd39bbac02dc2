"""The Web API's methods, a module for each family.

Who calls, how often and with which bytes is the gateway's business; by the time a function here
runs, its required arguments are there.
"""
